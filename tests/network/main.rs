//! Nodes on machines of their own: what a part that is cut off answers, and how
//! nodes that know no more than a name find each other.

mod dns;
mod minority;
mod name_server;

use tokio::sync::{Mutex, MutexGuard};

/// One at a time: each has several nodes, and machines have few cores.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}
