//! What the thread does: reads the socket, takes commands, keeps the time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;

use crate::core::{Core, Effect, Input};
use crate::notice::{Notice, Numbered};

use super::error::{AskError, GossipError};
use super::{Command, Found, Shared};

/// Larger than any packet that is taken, so that one that is too large shows.
const BUFFER_BYTES: usize = 2_048;

/// How many datagrams are read before the timers are looked at: more than a socket's
/// usual buffer holds.
const READS_MAX: usize = 1_024;

/// How many may wait for answers of addresses.
const WAITING_MAX: usize = 256;

/// How long the socket is let alone after it failed.
const REST: Duration = Duration::from_millis(10);

type Reply = oneshot::Sender<Result<Found, AskError>>;

/// All that the thread has.
pub(super) struct Run {
    runtime: Runtime,
    work: Work,
    socket: UdpSocket,
    commands: mpsc::Receiver<Command>,
}

struct Work {
    core: Core,
    /// The same socket as the runtime waits for, without the runtime: read when the
    /// timers are about to be looked at, whether or not the runtime noticed anything.
    socket: UdpSocket,
    notices: broadcast::Sender<Numbered>,
    shared: Arc<Shared>,
    asking: BTreeMap<SocketAddr, Vec<Reply>>,
    leaving: Vec<oneshot::Sender<()>>,
    left: bool,
    /// The addresses that this node is cut off from, to try that out.
    ignored: BTreeSet<SocketAddr>,
    started: Instant,
    send_failures: u64,
    receive_failures: u64,
}

impl Run {
    pub(super) fn new(
        core: Core,
        socket: UdpSocket,
        commands: mpsc::Receiver<Command>,
        notices: broadcast::Sender<Numbered>,
        shared: Arc<Shared>,
    ) -> Result<Self, GossipError> {
        socket.set_nonblocking(true).map_err(GossipError::start)?;
        let same = socket.try_clone().map_err(GossipError::start)?;
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(GossipError::start)?;
        let work = Work {
            core,
            socket: same,
            notices,
            shared,
            asking: BTreeMap::new(),
            leaving: Vec::new(),
            left: false,
            ignored: BTreeSet::new(),
            started: Instant::now(),
            send_failures: 0,
            receive_failures: 0,
        };
        Ok(Self { runtime, work, socket, commands })
    }

    pub(super) fn run(self) {
        let Self { runtime, work, socket, commands } = self;
        // Also when something panics, so that nobody takes an old snapshot for news.
        let stopped = Stopped(Arc::clone(&work.shared));
        if let Err(error) = runtime.block_on(work.run(socket, commands)) {
            tracing::error!(%error, "gossip can't use its socket and has stopped");
        }
        drop(stopped);
    }
}

struct Stopped(Arc<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.write(|published| published.running = false);
    }
}

/// How the socket was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Empty,
    More,
    Failed,
}

/// Why the thread woke.
enum Woken {
    Readable,
    Command(Command),
    Deadline,
    NobodyLeft,
}

impl Work {
    async fn run(
        mut self,
        socket: UdpSocket,
        mut commands: mpsc::Receiver<Command>,
    ) -> io::Result<()> {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let mut state = Socket::Empty;
        while !self.left {
            let woken = match state {
                Socket::Empty | Socket::Failed => self.wait(&socket, &mut commands).await?,
                Socket::More => self.look(&mut commands),
            };
            // Whatever woke it: datagrams first, then the time. One that was stopped for
            // a while finds the answers to its questions here before it judges.
            state = self.read();
            match woken {
                Woken::NobodyLeft => break,
                Woken::Command(command) => self.command(command),
                Woken::Readable | Woken::Deadline => {}
            }
            if state == Socket::Failed {
                tokio::time::sleep(REST).await;
            }
            let now = self.now();
            if self.core.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.input(Input::Tick);
            }
            self.count();
        }
        Ok(())
    }

    async fn wait(
        &self,
        socket: &tokio::net::UdpSocket,
        commands: &mut mpsc::Receiver<Command>,
    ) -> io::Result<Woken> {
        let deadline = self.core.next_deadline();
        let at = self.started + deadline.unwrap_or_default();
        tokio::select! {
            ready = socket.readable() => {
                ready?;
                // All is read after this, so the runtime may wait for the next.
                let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                match socket.try_io(Interest::READABLE, nothing) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => other?,
                }
                Ok(Woken::Readable)
            }
            command = commands.recv() => Ok(command.map_or(Woken::NobodyLeft, Woken::Command)),
            () = tokio::time::sleep_until(at), if deadline.is_some() => Ok(Woken::Deadline),
        }
    }

    /// The same while there is more to read: it doesn't wait.
    fn look(&self, commands: &mut mpsc::Receiver<Command>) -> Woken {
        match commands.try_recv() {
            Ok(command) => Woken::Command(command),
            Err(mpsc::error::TryRecvError::Empty) => Woken::Readable,
            Err(mpsc::error::TryRecvError::Disconnected) => Woken::NobodyLeft,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Reads what has come.
    fn read(&mut self) -> Socket {
        let mut buffer = [0; BUFFER_BYTES];
        for _ in 0..READS_MAX {
            match self.socket.recv_from(&mut buffer) {
                Ok((_, from)) if self.ignored.contains(&from) => {}
                Ok((length, from)) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    self.input(Input::Datagram { from, bytes });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Socket::Empty,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.receive_failures += 1;
                    tracing::debug!(%error, "reading a datagram failed");
                    return Socket::Failed;
                }
            }
        }
        Socket::More
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Join(addresses) => self.input(Input::Join { addresses: &addresses }),
            Command::Say { to, body } => self.input(Input::Say { to, body: &body }),
            Command::Hint(node) => self.input(Input::Hint { node }),
            Command::Ignore(addresses) => self.ignored = addresses,
            Command::Enter { cluster, reply } => {
                let entered = self.core.enter(cluster, self.now());
                let entered = entered.map(|effects| self.carry_out(effects));
                // Whoever asked may have gone.
                let _ = reply.send(entered);
            }
            Command::Leave { reply } => {
                self.leaving.push(reply);
                self.input(Input::Leave);
            }
            Command::Ask { address, reply } => {
                if self.asking.values().map(Vec::len).sum::<usize>() >= WAITING_MAX {
                    let _ = reply.send(Err(GossipError::Busy.into()));
                    return;
                }
                self.asking.entry(address).or_default().push(reply);
                self.input(Input::Ask { address });
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let effects = self.core.handle(input, self.now());
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        if effects.iter().any(|effect| matches!(effect, Effect::Notice(_))) {
            let snapshot = self.core.snapshot();
            self.shared.write(|published| published.snapshot = snapshot);
        }
        for effect in effects {
            match effect {
                Effect::Send { to, .. } if self.ignored.contains(&to) => {}
                Effect::Send { to, bytes } => {
                    if let Err(error) = self.socket.send_to(&bytes, to) {
                        // As good as lost on the way, which the protocol bears.
                        self.send_failures += 1;
                        tracing::debug!(%error, %to, "sending a datagram failed");
                    }
                }
                Effect::Notice(numbered) => self.tell(numbered),
            }
        }
    }

    fn tell(&mut self, numbered: Numbered) {
        match &numbered.notice {
            Notice::Found { asked, cluster, identity } => {
                let found = Found { cluster: *cluster, identity: Arc::clone(identity) };
                for reply in self.asking.remove(asked).unwrap_or_default() {
                    let _ = reply.send(Ok(found.clone()));
                }
            }
            Notice::Unanswered { asked } => {
                for reply in self.asking.remove(asked).unwrap_or_default() {
                    let _ = reply.send(Err(AskError::Unanswered { address: *asked }));
                }
            }
            Notice::Left => {
                self.left = true;
                self.leaving.drain(..).for_each(|reply| {
                    let _ = reply.send(());
                });
            }
            Notice::Foreign { text, .. } => tracing::warn!("{text}"),
            Notice::Twin(other) => tracing::error!(
                "another process, at {}, has this node's id: both were started with copies of one \
                 data directory; stop one of them and start it with an empty one",
                other.gossip
            ),
            Notice::Paused { at_least } => tracing::warn!(
                milliseconds = at_least.as_millis(),
                "this node was stopped or had no processor; it judges nobody by that time"
            ),
            notice @ (Notice::Up(_)
            | Notice::Word { .. }
            | Notice::Returned(_)
            | Notice::Suspect(_)
            | Notice::Refuted(_)
            | Notice::Down(_)
            | Notice::Renewed(_)
            | Notice::Defunct) => tracing::debug!(?notice, "membership"),
        }
        // Nobody may be listening.
        let _ = self.notices.send(numbered);
    }

    fn count(&mut self) {
        let mut counters = *self.core.counters();
        counters.send_failures = self.send_failures;
        counters.receive_failures = self.receive_failures;
        // A cluster that was entered is no notice, but is in the snapshot.
        let snapshot = self.core.snapshot();
        self.shared.write(|published| {
            published.counters = counters;
            published.snapshot = snapshot;
        });
    }
}
