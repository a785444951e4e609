//! Other ways to put something before the handler: a proxy in one hop, and tunnels for TCP, which need no runner that
//! knows HTTP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;
use underpass_processes::process::Process;

use crate::contestants::Contestant;

pub(crate) const NGINX: &str = "nginx";
pub(crate) const RATHOLE: &str = "rathole";
pub(crate) const BORE: &str = "bore";

/// Where bore's server listens for its clients.
const CONTROL: u16 = 7835;

/// Whether a tunnel waits before it sends what is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// As it comes from its authors.
    AsItComes,
    /// `TCP_NODELAY` is forced on all of its sockets.
    Never,
}

/// Where the others are installed: `bin/rathole`, `bin/bore`, `nodelay.so`.
pub(crate) struct Peers {
    installed: PathBuf,
    scratch: TempDir,
}

impl Peers {
    pub(crate) fn new(installed: PathBuf) -> io::Result<Self> {
        Ok(Peers { installed, scratch: TempDir::new()? })
    }

    fn file(&self, name: &str, content: &str) -> io::Result<String> {
        let path = self.scratch.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path.display().to_string())
    }

    fn program(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.installed.join("bin").join(name);
        if path.exists() { Ok(path) } else { Err(io::Error::other(format!("{} is missing", path.display()))) }
    }

    fn start(&self, program: &Path, arguments: &[&str], delay: Delay) -> io::Result<Process> {
        let mut variables = vec![("RUST_LOG", "error".to_owned())];
        if delay == Delay::Never {
            let preload = self.installed.join("nodelay.so").canonicalize()?;
            variables.push(("LD_PRELOAD", preload.display().to_string()));
        }
        Process::start_with(program, arguments, &variables)
    }

    /// nginx with one process, connections to the handler kept, and bodies in memory.
    pub(crate) async fn nginx(&self, direct: &Contestant) -> io::Result<Contestant> {
        let program =
            ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].into_iter().map(Path::new).find(|path| path.exists());
        let program = program.ok_or_else(|| io::Error::other("nginx is missing"))?;
        let (http, websocket) = (free(Ipv4Addr::LOCALHOST)?, free(Ipv4Addr::LOCALHOST)?);
        let scratch = self.scratch.path().display();
        let config = format!(
            "daemon off; master_process off; pid {scratch}/pid; error_log stderr crit;
            events {{ worker_connections 15000; }}
            http {{
                access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; tcp_nodelay on;
                client_max_body_size 0; client_body_buffer_size 256k;
                client_body_temp_path {scratch}; proxy_temp_path {scratch}; fastcgi_temp_path {scratch};
                uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
                proxy_http_version 1.1; proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_read_timeout 1h;
                upstream handler {{ server {}; keepalive 128; keepalive_requests 1000000000; }}
                server {{
                    listen {http};
                    location / {{ proxy_pass http://handler; proxy_set_header Connection \"\"; }}
                }}
                server {{
                    listen {websocket};
                    location / {{
                        proxy_pass http://{};
                        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
                    }}
                }}
            }}",
            direct.http, direct.websocket
        );
        let config = self.file("nginx.conf", &config)?;
        let process =
            self.start(program, &["-e", "stderr", "-c", &config, "-p", &scratch.to_string()], Delay::AsItComes)?;
        Contestant { name: NGINX, http, websocket, pool: direct.pool, processes: vec![("nginx", process)] }
            .answering()
            .await
    }

    /// rathole: a service for each of the handler's ports.
    pub(crate) async fn rathole(&self, direct: &Contestant, delay: Delay) -> io::Result<Contestant> {
        let program = self.program("rathole")?;
        let here = Ipv4Addr::LOCALHOST;
        let (control, http, websocket) = (free(here)?, free(here)?, free(here)?);
        let server = format!(
            "[server]\nbind_addr = \"{control}\"\ndefault_token = \"token\"\n\
             [server.services.http]\nbind_addr = \"{http}\"\n\
             [server.services.websocket]\nbind_addr = \"{websocket}\"\n"
        );
        let client = format!(
            "[client]\nremote_addr = \"{control}\"\ndefault_token = \"token\"\n\
             [client.services.http]\nlocal_addr = \"{}\"\n\
             [client.services.websocket]\nlocal_addr = \"{}\"\n",
            direct.http, direct.websocket
        );
        let (server, client) = (self.file("server.toml", &server)?, self.file("client.toml", &client)?);
        let processes = vec![
            ("server", self.start(&program, &["--server", &server], delay)?),
            ("client", self.start(&program, &["--client", &client], delay)?),
        ];
        let name = match delay {
            Delay::AsItComes => "rathole as it comes",
            Delay::Never => RATHOLE,
        };
        listening(websocket).await?;
        Contestant { name, http, websocket, pool: direct.pool, processes }.answering().await
    }

    /// bore: a client for each of the handler's ports. Its server takes one port that cannot be chosen, so it gets a
    /// loopback address of its own.
    pub(crate) async fn bore(&self, direct: &Contestant, delay: Delay) -> io::Result<Contestant> {
        let program = self.program("bore")?;
        let [.., high, low] = std::process::id().to_be_bytes();
        let (name, last) = match delay {
            Delay::AsItComes => ("bore as it comes", low | 1),
            Delay::Never => (BORE, low & !1),
        };
        let here = Ipv4Addr::new(127, 77, high, last);
        let ip = here.to_string();
        let server = self.start(&program, &["server", "--bind-addr", &ip], delay)?;
        let (http, websocket) = (free(here)?, free(here)?);
        listening((here, CONTROL).into()).await?;
        let mut processes = vec![("server", server)];
        for (name, outside, inside) in [("client of HTTP", http, direct.http), ("client", websocket, direct.websocket)]
        {
            let (outside, port) = (outside.port().to_string(), inside.port().to_string());
            let arguments = ["local", &port, "--local-host", "127.0.0.1", "--to", &ip, "--port", &outside];
            processes.push((name, self.start(&program, &arguments, delay)?));
        }
        listening(websocket).await?;
        Contestant { name, http, websocket, pool: direct.pool, processes }.answering().await
    }
}

/// A port that nobody has.
fn free(here: Ipv4Addr) -> io::Result<SocketAddr> {
    TcpListener::bind((here, 0))?.local_addr()
}

/// Waits until somebody listens there.
async fn listening(address: SocketAddr) -> io::Result<()> {
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(io::Error::other(format!("nobody listens at {address}")))
}
