//! What an idle WebSocket takes of memory: it was opened, a message went there and back, and then nothing more.

use std::io;
use std::time::Duration;

use tokio::time::sleep;

use crate::contestants::Contestant;
use crate::load::websocket::Socket;

/// So many are opened.
pub(crate) const SOCKETS: [usize; 2] = [2_000, 5_000];

/// What one process holds for each WebSocket, bytes.
pub(crate) struct Idle {
    pub(crate) contestant: &'static str,
    pub(crate) process: &'static str,
    /// With each number of sockets.
    pub(crate) each: [f64; SOCKETS.len()],
    /// With the last number, after a message of 64 KiB each.
    pub(crate) after_large: f64,
}

/// Opens WebSockets, and looks. What is measured should be fresh.
///
/// # Errors
/// One was not taken, or the system does not tell.
pub(crate) async fn measure(contestant: &Contestant) -> io::Result<Vec<Idle>> {
    let mut sockets = Vec::new();
    open(contestant, &mut sockets, 10).await?;
    let before = memory(contestant).await?;
    let mut idle: Vec<_> = contestant
        .processes
        .iter()
        .map(|(process, _)| Idle { contestant: contestant.name, process, each: [0.0; SOCKETS.len()], after_large: 0.0 })
        .collect();
    let each = |now: &u64, before: &u64, count: usize| (*now as f64 - *before as f64) / count as f64;
    for (at, number) in SOCKETS.into_iter().enumerate() {
        let count = number - sockets.len();
        open(contestant, &mut sockets, count).await?;
        for ((idle, now), before) in idle.iter_mut().zip(&memory(contestant).await?).zip(&before) {
            idle.each[at] = each(now, before, number - 10);
        }
    }
    for socket in &mut sockets {
        socket.round(64 * 1024).await?;
    }
    for ((idle, now), before) in idle.iter_mut().zip(&memory(contestant).await?).zip(&before) {
        idle.after_large = each(now, before, sockets.len() - 10);
    }
    Ok(idle)
}

async fn open(contestant: &Contestant, sockets: &mut Vec<Socket>, count: usize) -> io::Result<()> {
    for _ in 0..count {
        let mut socket = Socket::open(contestant.websocket, contestant.pool).await?;
        socket.round(64).await?;
        sockets.push(socket);
    }
    Ok(())
}

/// What each process holds when it has come to rest.
async fn memory(contestant: &Contestant) -> io::Result<Vec<u64>> {
    sleep(Duration::from_secs(1)).await;
    contestant.processes.iter().map(|(_, process)| process.memory()).collect()
}
