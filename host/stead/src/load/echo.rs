//! The baseline for HTTP: a bare axum server that echoes.

use std::{
    io::{self, BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
};

use axum::{Router, body::Bytes, routing::any};

use crate::failure::Failure;

/// What the server's first line begins with; its address follows.
const GREETING: &str = "echo at ";

/// Serves an echo until standard input ends; prints its address first. This is
/// what the child process does.
pub fn serve_echo() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::failed(format!("no runtime could be made: {error}")))?;
    let served: io::Result<()> = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{GREETING}{}", listener.local_addr()?);
        let router = Router::new().route("/echo/{id}", any(|body: Bytes| async { body }));
        let parent_gone = async {
            let mut byte = [0];
            let _ = tokio::io::AsyncReadExt::read(&mut tokio::io::stdin(), &mut byte).await;
        };
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        tokio::select! {
            result = axum::serve(listener, router) => result,
            () = parent_gone => Ok(()),
        }
    });
    runtime.shutdown_background();
    served.map_err(|error| Failure::failed(format!("the echo could not be served: {error}")))
}

/// The echo in a process of its own, as a node is. It ends with this value.
pub struct EchoServer {
    child: Option<Child>,
    address: SocketAddr,
}

impl EchoServer {
    /// Starts this program again as an echo.
    pub fn start_process() -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "--serve-echo"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().strip_prefix(GREETING).and_then(|address| address.parse().ok());
        match address {
            Some(address) => Ok(Self { child: Some(child), address }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(io::Error::other("the echo server did not say where it is"))
            }
        }
    }

    /// Starts an echo on a thread of this process.
    #[cfg(test)]
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                let listener = listener.expect("bound");
                sender.send(listener.local_addr().expect("an address")).expect("heard");
                let router = Router::new().route("/echo/{id}", any(|body: Bytes| async { body }));
                axum::serve(listener, router).await.expect("served");
            });
        });
        let address = receiver.recv().map_err(io::Error::other)?;
        Ok(Self { child: None, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
