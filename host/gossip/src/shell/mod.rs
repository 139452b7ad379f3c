//! The thin shell around the core: a socket and a thread.
//!
//! The thread is its own, with a runtime of its own: guests, syncs of the disk and a
//! busy pool of workers don't hold it up. Nothing here waits for a reader: notices
//! go into a ring of bounded size, and a reader that is too slow is told so and
//! given the present state instead of what it missed.

mod error;
mod notices;
mod run;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use stead_model::{ClusterId, NodeId};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::config::Config;
use crate::core::{Core, EnterError, NAMED_MAX};
use crate::counters::Counters;
use crate::identity::Identity;
use crate::notice::{Numbered, Snapshot};

pub use error::{AskError, GossipError};
pub use notices::{Heard, Notices};

/// How many commands may wait for the thread. It takes them in microseconds.
const COMMANDS_MAX: usize = 64;

/// How many notices are kept for readers that are behind.
const NOTICES_MAX: usize = 256;

/// How much longer than the farewells take, or an address has to answer, the thread is
/// given to say so.
const GRACE: Duration = Duration::from_secs(2);

/// What a node's gossip needs to start.
#[derive(Debug)]
pub struct Options {
    /// The settings.
    pub config: Config,
    /// Who this node is. Its gossip address must be one at which the others reach
    /// [`Self::socket`].
    pub identity: Identity,
    /// The cluster that it is in, if it is in one already.
    pub cluster: Option<ClusterId>,
    /// The socket, bound; see [`Gossip::bind`].
    pub socket: UdpSocket,
    /// What all chance in it comes from. It should be drawn at random.
    pub seed: u64,
}

/// Who was found at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The cluster it is in; none if it is in none yet.
    pub cluster: Option<ClusterId>,
    /// Who is there. It may be this node itself.
    pub identity: Arc<Identity>,
}

/// A node's membership, at work.
///
/// Clones are the same membership. When the last one is dropped the thread stops
/// without a word to the others, who will miss this node; [`Self::leave`] is the
/// polite way.
#[derive(Debug, Clone)]
pub struct Gossip {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// None only while it is dropped.
    commands: Option<mpsc::Sender<Command>>,
    notices: broadcast::WeakSender<Numbered>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    farewell: Duration,
    ask_timeout: Duration,
}

/// What the thread publishes.
#[derive(Debug)]
struct Shared {
    published: Mutex<Published>,
}

#[derive(Debug, Clone)]
struct Published {
    snapshot: Arc<Snapshot>,
    counters: Counters,
    running: bool,
}

/// What the thread is asked for.
#[derive(Debug)]
enum Command {
    Join(Vec<SocketAddr>),
    Ask { address: SocketAddr, reply: oneshot::Sender<Result<Found, AskError>> },
    Say { to: SocketAddr, body: Vec<u8> },
    Hint(NodeId),
    Enter { cluster: ClusterId, reply: oneshot::Sender<Result<(), EnterError>> },
    Leave { reply: oneshot::Sender<()> },
    Ignore(BTreeSet<SocketAddr>),
}

impl Gossip {
    /// Binds a socket for gossip. Port 0 lets the system choose.
    ///
    /// # Errors
    /// [`GossipError::Bind`].
    pub fn bind(address: SocketAddr) -> Result<UdpSocket, GossipError> {
        UdpSocket::bind(address)
            .map_err(|cause| GossipError::Bind { address, cause: cause.to_string() })
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// [`GossipError::Config`] if the settings or the identity don't work,
    /// [`GossipError::Start`] if the system gives no thread or doesn't take the socket.
    pub fn start(options: Options) -> Result<Self, GossipError> {
        let Options { config, identity, cluster, socket, seed } = options;
        let farewell = config.farewell_period * u32::from(config.farewells);
        let ask_timeout = config.ask_timeout;
        let core = Core::new(config, identity, cluster, seed, Duration::ZERO)?;
        let (commands, taken) = mpsc::channel(COMMANDS_MAX);
        let (notices, _) = broadcast::channel(NOTICES_MAX);
        let published =
            Published { snapshot: core.snapshot(), counters: *core.counters(), running: true };
        let shared = Arc::new(Shared { published: Mutex::new(published) });
        let weak = notices.downgrade();
        let run = run::Run::new(core, socket, taken, notices, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new()
            .name("stead-gossip".to_owned())
            .spawn(move || run.run())
            .map_err(GossipError::start)?;
        let inner = Inner {
            commands: Some(commands),
            notices: weak,
            shared,
            thread: Some(thread),
            farewell,
            ask_timeout,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Who is at an address, and of which cluster?
    ///
    /// # Errors
    /// [`AskError::Unanswered`] if nobody answered within [`Config::ask_timeout`], or too
    /// many addresses are being asked; [`AskError::Gossip`] as [`Self::hint`].
    pub async fn ask(&self, address: SocketAddr) -> Result<Found, AskError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Ask { address, reply })?;
        match tokio::time::timeout(self.inner.ask_timeout + GRACE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(GossipError::Stopped.into()),
            Err(_) => Err(AskError::Unanswered { address }),
        }
    }

    /// Enters a cluster: one that was found, or one that is new. Gossip begins.
    ///
    /// # Errors
    /// [`GossipError::Enter`] if it is in another, and as [`Self::hint`].
    pub async fn enter(&self, cluster: ClusterId) -> Result<(), GossipError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Enter { cluster, reply })?;
        Ok(answer.await.map_err(|_| GossipError::Stopped)??)
    }

    /// Names the addresses at which nodes of the cluster may be found, instead of those
    /// named before. They are tried until someone of this cluster answers, and again when
    /// nobody there is present.
    ///
    /// # Errors
    /// [`GossipError::TooManyAddresses`] beyond [`NAMED_MAX`], and as [`Self::hint`].
    pub fn join(&self, addresses: Vec<SocketAddr>) -> Result<(), GossipError> {
        if addresses.len() > NAMED_MAX {
            return Err(GossipError::TooManyAddresses { given: addresses.len() });
        }
        self.command(Command::Join(addresses))
    }

    /// Says something about founding a cluster to whoever is at an address, who hears
    /// [`crate::Notice::Word`] if it is in no cluster either. It may get lost.
    ///
    /// # Errors
    /// As [`Self::hint`].
    pub fn say(&self, to: SocketAddr, body: Vec<u8>) -> Result<(), GossipError> {
        self.command(Command::Say { to, body })
    }

    /// Tells that there is reason to miss a node: a connection to it broke. It is asked
    /// at once; if nothing is heard of it, it is suspect sooner than by its turn. Doesn't
    /// wait.
    ///
    /// # Errors
    /// [`GossipError::Stopped`] if the thread has stopped, [`GossipError::Busy`] if too
    /// many commands wait for it. Nothing is done then.
    pub fn hint(&self, node: NodeId) -> Result<(), GossipError> {
        self.command(Command::Hint(node))
    }

    /// From now on nothing is sent to these addresses and nothing is taken from them, as
    /// if the network between were cut; from and to all others it is. For trying out
    /// what a cluster does then.
    ///
    /// # Errors
    /// As [`Self::hint`].
    pub fn ignore(&self, addresses: BTreeSet<SocketAddr>) -> Result<(), GossipError> {
        self.command(Command::Ignore(addresses))
    }

    /// Tells the others that this node goes, and stops the thread. Takes no longer than the
    /// farewells and two seconds.
    ///
    /// # Errors
    /// [`GossipError::Stopped`] if the thread has stopped before; [`GossipError::Busy`].
    pub async fn leave(&self) -> Result<(), GossipError> {
        let (reply, left) = oneshot::channel();
        self.command(Command::Leave { reply })?;
        match tokio::time::timeout(self.inner.farewell + GRACE, left).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(GossipError::Stopped),
            Err(_) => Err(GossipError::Busy),
        }
    }

    /// Everyone that is known. Costs a lock and a reference.
    #[must_use]
    pub fn members(&self) -> Arc<Snapshot> {
        self.inner.shared.snapshot()
    }

    /// What was sent, taken and dropped.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.shared.read(|published| published.counters)
    }

    /// Whether the thread is at work. It isn't after [`Self::leave`].
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.inner.shared.read(|published| published.running)
    }

    /// Everyone that is known, and all notices after that.
    #[must_use]
    pub fn subscribe(&self) -> (Arc<Snapshot>, Notices) {
        // First the ear, then the look: a notice in between is in both, and is told by
        // its number.
        let heard = self.inner.notices.upgrade().map(|notices| notices.subscribe());
        let snapshot = self.members();
        let notices = Notices::new(heard, Arc::clone(&self.inner.shared), snapshot.sequence);
        (snapshot, notices)
    }

    fn command(&self, command: Command) -> Result<(), GossipError> {
        let commands = self.inner.commands.as_ref().ok_or(GossipError::Stopped)?;
        commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => GossipError::Busy,
            mpsc::error::TrySendError::Closed(_) => GossipError::Stopped,
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The thread ends when nobody can command it any more. It never waits for
        // anything else, so this takes no longer than what it is just doing.
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the gossip thread had ended in a panic");
        }
    }
}

impl Shared {
    fn read<T>(&self, read: impl FnOnce(&Published) -> T) -> T {
        read(&self.published.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut Published)) {
        write(&mut self.published.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.read(|published| Arc::clone(&published.snapshot))
    }
}
