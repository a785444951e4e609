//! What the runners' processes tell.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use underpass_fleet::note::Note;

/// All that was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// To which runners each request was given, in their order.
    pub(crate) given: HashMap<u64, Vec<usize>>,
    pub(crate) wrong: Vec<String>,
}

/// Reads notes until it is dropped.
pub(crate) struct Notes {
    pub(crate) address: SocketAddr,
    told: Arc<Mutex<Told>>,
    _reading: JoinSet<()>,
}

impl Notes {
    pub(crate) async fn listen() -> io::Result<Notes> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let told = Arc::<Mutex<Told>>::default();
        let (mut reading, noted) = (JoinSet::new(), told.clone());
        reading.spawn(async move {
            let mut processes = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                processes.spawn(read(stream, noted.clone()));
            }
        });
        Ok(Notes { address, told, _reading: reading })
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(stream: TcpStream, told: Arc<Mutex<Told>>) {
    let mut lines = BufReader::new(stream).lines();
    let mut runner = usize::MAX;
    while let Ok(Some(line)) = lines.next_line().await {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        match Note::read(&line) {
            Some(Note::From(number)) => runner = number,
            Some(Note::Began { request, once }) => {
                let given = told.given.entry(request).or_default();
                given.push(runner);
                if once && given.len() > 1 {
                    let twice = format!("the POST {request} was given to the runners {given:?}");
                    told.wrong.push(twice);
                }
            }
            Some(Note::Wrong(what)) => told.wrong.push(format!("runner {runner}: {what}")),
            // A line that a kill cut short.
            None => {}
        }
    }
}
