//! A row of a table: one work, measured with each contestant in turn, several times.

use std::io;
use std::time::Duration;

use crate::contestants::{Contestant, DIRECT, PASSING_ON, UNDERPASS};
use crate::load::Cell;
use crate::peers::{BORE, RATHOLE};
use crate::work::{Goal, Work};

/// What was measured of one work.
pub(crate) struct Row {
    pub(crate) work: Work,
    /// By contestant, a cell a round.
    pub(crate) cells: Vec<(&'static str, Vec<Cell>)>,
}

/// The median of what the rounds gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Median {
    pub(crate) cell: Cell,
    /// Rate, half and most, each beside direct's of the same round.
    pub(crate) rate: f64,
    pub(crate) half: f64,
    pub(crate) most: f64,
}

impl Row {
    /// Measures.
    pub(crate) async fn measure(
        work: Work,
        contestants: &[&Contestant],
        rounds: usize,
        duration: Duration,
    ) -> io::Result<Self> {
        let mut cells: Vec<_> = contestants.iter().map(|one| (one.name, Vec::new())).collect();
        for _ in 0..rounds {
            for (contestant, (name, cells)) in contestants.iter().zip(&mut cells) {
                let measured = work.measure(contestant, duration).await;
                cells.push(measured.map_err(|error| io::Error::other(format!("{work}, {name}: {error}")))?);
            }
        }
        Ok(Row { work, cells })
    }

    fn cells(&self, name: &str) -> Option<&[Cell]> {
        self.cells.iter().find(|(other, _)| *other == name).map(|(_, cells)| &cells[..])
    }

    /// What one contestant reached.
    pub(crate) fn median(&self, name: &str) -> Option<Median> {
        let (cells, beside) = (self.cells(name)?, self.cells(DIRECT)?);
        let of = |value: fn(&Cell) -> f64| median(cells.iter().map(value));
        let ratio = |value: fn(&Cell) -> f64| {
            median(cells.iter().zip(beside).map(|(cell, direct)| value(cell) / value(direct)))
        };
        let (rate, half, most) = (Cell::rate, Cell::half_seconds, Cell::most_seconds);
        let cell =
            Cell { rate: of(rate), half: Duration::from_secs_f64(of(half)), most: Duration::from_secs_f64(of(most)) };
        Some(Median { cell, rate: ratio(rate), half: ratio(half), most: ratio(most) })
    }

    /// Whether Underpass is where it is to be; none if this row has no goal.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        let reached = self.median(UNDERPASS)?;
        Some(match self.work.goal()? {
            Goal::Half(times) => reached.half <= times,
            Goal::Rate(share) => reached.rate >= share,
            Goal::RateAndMost(share, times) => reached.rate >= share && reached.most <= times,
        })
    }

    /// Whether a runner that passes requests on is ahead of the tunnels for TCP; none if one of them was not measured.
    pub(crate) fn is_ahead(&self) -> Option<bool> {
        let [ours, rathole, bore] = [PASSING_ON, RATHOLE, BORE].map(|name| self.median(name));
        Some(ours?.rate > rathole?.rate.max(bore?.rate))
    }
}

/// The one in the middle; zero if there is none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(rate: f64) -> Cell {
        Cell { rate, half: Duration::from_micros(10), most: Duration::from_micros(20) }
    }

    #[test]
    fn ratios_are_those_of_one_round() {
        let cells = vec![
            (DIRECT, vec![cell(100.0), cell(10.0), cell(40.0)]),
            (UNDERPASS, vec![cell(50.0), cell(6.0), cell(20.0)]),
        ];
        let row = Row { work: Work::Post { connections: 16 }, cells };
        let reached = row.median(UNDERPASS).unwrap();
        assert_eq!((reached.cell.rate, reached.rate, reached.half), (20.0, 0.5, 1.0));
        assert_eq!(row.is_reached(), Some(true));
        assert_eq!(row.is_ahead(), None);
    }
}
