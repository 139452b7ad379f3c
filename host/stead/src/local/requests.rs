//! What is asked of a running `stead up`: a file for each request, gone when it was
//! done. Only it can start nodes, as they are its children.

use std::{io, path::Path};

use super::LocalNode;

fn path(directory: &Path, node: &LocalNode) -> std::path::PathBuf {
    directory.join(format!("start-{}", node.name))
}

/// Asks for a node to be started.
///
/// # Errors
/// If it can't be written down.
pub fn ask_to_start(directory: &Path, node: &LocalNode) -> io::Result<()> {
    std::fs::write(path(directory, node), b"")
}

/// Whether it is still to be done.
pub fn is_asked(directory: &Path, node: &LocalNode) -> bool {
    path(directory, node).exists()
}

/// Takes a request to start a node, if there is one.
pub fn take_request(directory: &Path, node: &LocalNode) -> bool {
    std::fs::remove_file(path(directory, node)).is_ok()
}
