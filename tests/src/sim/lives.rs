//! The lives of actors, as their runners live them: where each was started, and which go on.
//!
//! | always | |
//! | --- | --- |
//! | one place | a life (an actor and its generation) is only ever started at one runner |
//! | once told | on one connection a life is started once, and stopped for good |
//! | no request to the dead | no request comes for an actor behind its stop, or for one that the runner was not given |
//! | what is kept stays | the count that an actor keeps in its store never goes back |
//!
//! And where clocks, sockets and the directory are sound, so that everybody's thresholds mean the same: no actor has two
//! lives at once, and no life begins that is not newer than all before.

use core::fmt::Display;
use std::collections::BTreeMap;

use bytestring::ByteString;
use hashbrown::HashMap;
use underpass_transport_mem::sim::Node;

/// A life as it is started.
#[derive(Clone, Debug)]
pub struct Begun<'a> {
    /// Whose.
    pub actor: &'a ByteString,
    /// Which.
    pub generation: u32,
    /// The runner's id, as its relay says.
    pub runner: &'a str,
    /// Its process.
    pub node: Node,
}

/// All lives that there were.
#[derive(Debug, Default)]
pub struct Lives {
    /// At which runner each was started.
    places: HashMap<(ByteString, u32), String>,
    /// The newest of each actor.
    newest: HashMap<ByteString, u32>,
    /// Those that go on.
    on: BTreeMap<ByteString, BTreeMap<Node, u32>>,
    /// What each actor has counted in its store.
    counted: HashMap<ByteString, u64>,
    /// How many were started.
    pub begun: u64,
}

impl Lives {
    /// A life begins. What is wrong with it; `is_sound`: nothing has happened by which thresholds mean different things.
    ///
    /// # Errors
    /// It must not begin.
    pub fn begins(&mut self, begun: &Begun<'_>, is_sound: bool) -> Result<(), String> {
        let Begun { actor, generation, runner, node } = begun;
        self.begun += 1;
        let on = self.on.entry((*actor).clone()).or_default();
        let elsewhere = on.iter().find(|(on, _)| *on != node).map(|(on, generation)| (*on, *generation));
        on.insert(*node, *generation);
        let place = self.places.entry(((*actor).clone(), *generation)).or_insert_with(|| (*runner).into());
        if place != runner {
            return Err(format!("life {generation} of {actor} was started at {place}, and again at {runner}"));
        }
        let newest = self.newest.entry((*actor).clone()).or_insert(*generation);
        let before = core::mem::replace(newest, (*newest).max(*generation));
        if is_sound && *generation < before {
            return Err(format!("life {generation} of {actor} begins behind life {before}"));
        }
        if let Some((other, life)) = elsewhere.filter(|_| is_sound) {
            return Err(format!(
                "life {generation} of {actor} begins at {node:?} while life {life} goes on at {other:?}"
            ));
        }
        Ok(())
    }

    /// A life is over at its runner.
    pub fn ends(&mut self, actor: &ByteString, node: Node) {
        if let Some(on) = self.on.get_mut(actor) {
            on.remove(&node);
        }
    }

    /// A process is no more, nor is any life there.
    pub fn process_ends(&mut self, node: Node) {
        for on in self.on.values_mut() {
            on.remove(&node);
        }
    }

    /// What an actor has counted, as far as it was acknowledged.
    pub fn kept(&self, actor: &ByteString) -> u64 {
        self.counted.get(actor).copied().unwrap_or_default()
    }

    /// What an actor counted was acknowledged.
    pub fn counted(&mut self, actor: &ByteString, count: u64) {
        let kept = self.counted.entry(actor.clone()).or_default();
        *kept = (*kept).max(count);
    }
}

/// What the runner of a connection was last told of an actor there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// To start this life.
    Start(u32),
    /// To stop this one.
    Stop(u32),
}

/// What was told on one connection.
#[derive(Debug, Default)]
pub struct Orders {
    told: BTreeMap<ByteString, Told>,
    /// The actors that ended here of themselves: what is on its way to them finds nobody.
    gone: BTreeMap<ByteString, u32>,
}

impl Orders {
    /// A start comes.
    ///
    /// # Errors
    /// It was told before, or is older than what was.
    pub fn start(&mut self, actor: &ByteString, generation: u32) -> Result<(), String> {
        match self.told.insert(actor.clone(), Told::Start(generation)) {
            Some(Told::Start(before) | Told::Stop(before)) if before >= generation => {
                Err(format!("behind life {before} of {actor}, life {generation} is to start on the same connection"))
            }
            Some(Told::Start(_) | Told::Stop(_)) | None => Ok(()),
        }
    }

    /// A stop comes.
    pub fn stop(&mut self, actor: &ByteString, generation: u32) {
        // One of an older life changes nothing for the newer.
        let told = self.told.entry(actor.clone()).or_insert(Told::Stop(generation));
        match told {
            Told::Start(newer) | Told::Stop(newer) if *newer > generation => {}
            Told::Start(_) | Told::Stop(_) => *told = Told::Stop(generation),
        }
    }

    /// An actor ended without having been told to.
    pub fn went(&mut self, actor: &ByteString, generation: u32) {
        self.gone.insert(actor.clone(), generation);
    }

    /// A request comes for an actor; which of its lives is hosted, if one is.
    ///
    /// # Errors
    /// No request may come for it.
    pub fn request(&self, actor: &ByteString, hosted: Option<u32>) -> Result<(), String> {
        match (self.told.get(actor), hosted) {
            (Some(Told::Stop(generation)), _) if hosted.is_none_or(|hosted| hosted == *generation) => {
                Err(format!("a request for {actor} behind the stop of its life {generation}"))
            }
            (_, Some(_)) => Ok(()),
            (_, None) if self.gone.contains_key(actor) => Ok(()),
            (told, None) => Err(format!("a request for {actor}, which is not here ({})", shown(told))),
        }
    }

    /// The starts that were taken.
    pub fn started(&self) -> impl Iterator<Item = (&ByteString, u32)> {
        self.told.iter().filter_map(|(actor, told)| match told {
            Told::Start(generation) => Some((actor, *generation)),
            Told::Stop(_) => None,
        })
    }
}

fn shown(told: Option<&Told>) -> impl Display {
    match told {
        Some(told) => format!("told last: {told:?}"),
        None => "nothing was told of it".into(),
    }
}
