//! What a node keeps of its cluster, in files beside its journal.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stead_founding::Kept;
use stead_model::ClusterId;

const CHARTER: &str = "cluster.json";
/// What the node promised to others before it was in a cluster.
const PROMISES: &str = "founding.json";

/// What a node knows of its cluster from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Charter {
    /// The cluster.
    pub cluster: ClusterId,
    /// Whether this node founds it and may not have begun all groups.
    pub founding: bool,
}

/// Why something that was to be kept isn't there.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct CharterError {
    path: PathBuf,
    reason: String,
}

impl Charter {
    /// What was kept; `None` if the node was in no cluster yet.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn load(directory: &Path) -> Result<Option<Self>, CharterError> {
        load(directory, CHARTER)
    }

    /// Keeps it, durably, in place of what was there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn keep(self, directory: &Path) -> Result<(), CharterError> {
        keep(&self, directory, CHARTER)
    }
}

/// What the node promised before.
///
/// # Errors
/// If it can't be read.
pub fn load_promises(directory: &Path) -> Result<Kept, CharterError> {
    Ok(load(directory, PROMISES)?.unwrap_or_default())
}

/// Keeps promises, durably.
///
/// # Errors
/// If they can't be written. Nobody may be told of them then.
pub fn keep_promises(kept: &Kept, directory: &Path) -> Result<(), CharterError> {
    keep(kept, directory, PROMISES)
}

fn load<T: DeserializeOwned>(directory: &Path, file: &str) -> Result<Option<T>, CharterError> {
    let path = directory.join(file);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CharterError { path, reason: error.to_string() }),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| CharterError { path, reason: error.to_string() })
}

fn keep(value: &impl Serialize, directory: &Path, file: &str) -> Result<(), CharterError> {
    let (path, unfinished) = (directory.join(file), directory.join(format!("{file}.new")));
    let bytes = serde_json::to_vec(value).expect("it is made of plain values");
    let written = (|| {
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        std::fs::File::open(directory)?.sync_all()
    })();
    written.map_err(|error: std::io::Error| CharterError { path, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use stead_founding::{Bid, Choice};
    use stead_model::NodeId;

    use super::*;

    #[test]
    fn a_charter_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(Charter::load(directory.path()).expect("read"), None);
        for founding in [true, false] {
            let charter = Charter { cluster: ClusterId(7), founding };
            charter.keep(directory.path()).expect("kept");
            assert_eq!(Charter::load(directory.path()).expect("read"), Some(charter));
        }
        std::fs::write(directory.path().join(CHARTER), b"{").expect("written");
        let error = Charter::load(directory.path()).expect_err("it is garbled");
        assert!(error.to_string().contains(CHARTER), "{error}");
    }

    #[test]
    fn promises_are_kept_in_this_form() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(load_promises(directory.path()).expect("read"), Kept::default());
        let bid = Bid { round: 3, node: NodeId(7) };
        let choice = Choice { cluster: ClusterId(9), founder: NodeId(7) };
        let kept = Kept { promised: bid, favoured: Some((bid, choice)) };
        keep_promises(&kept, directory.path()).expect("kept");
        assert_eq!(load_promises(directory.path()).expect("read"), kept);
        let (seven, nine) = (NodeId(7), ClusterId(9));
        let bid = format!(r#"{{"round":3,"node":"{seven}"}}"#);
        let golden = format!(
            r#"{{"promised":{bid},"favoured":[{bid},{{"cluster":"{nine}","founder":"{seven}"}}]}}"#
        );
        let written = std::fs::read_to_string(directory.path().join(PROMISES)).expect("read");
        assert_eq!(written, golden);
        std::fs::write(directory.path().join(PROMISES), b"[]").expect("written");
        let error = load_promises(directory.path()).expect_err("it is garbled");
        assert!(error.to_string().contains(PROMISES), "{error}");
    }
}
