//! A disk in memory that keeps what is live and what is durable apart, and does
//! the harm that it is told to: for tests, of this crate and of others.
//!
//! Everything that changes something is a *write point* and is counted: a
//! write, a change of length, a sync, a new, renamed or removed name. A test
//! runs once to learn how many there are, and then again for each of them with
//! power lost just there.

mod faults;
mod file;
mod random;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use faults::Faults;
use file::FileState;
use random::Random;

use super::{Disk, DiskFile, DiskLock};

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<State>>,
    /// Which start of the machine this handle belongs to; see [`SimDisk::restart`].
    boot: u64,
}

/// Which of the writes that were not synced survive a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// None of them.
    None,
    /// All of them.
    All,
    /// Some, by the seed: a write may be there, not be there, or be there in
    /// some of its sectors.
    Some(u64),
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<u64, FileState>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names that no sync of their directory covers, in order.
    pending_names: Vec<NameChange>,
    locks: BTreeSet<String>,
    faults: Faults,
    boot: u64,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(String, u64),
    Remove(String),
    Rename(String, String),
}

impl NameChange {
    fn dir(&self) -> &str {
        let (Self::Set(path, _) | Self::Remove(path) | Self::Rename(path, _)) = self;
        dir_of(path)
    }

    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Set(path, id) => {
                names.insert(path, id);
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
            Self::Rename(from, to) => {
                if let Some(id) = names.remove(&from) {
                    names.insert(to, id);
                }
            }
        }
    }
}

fn dir_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk that does no harm.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::default(), boot: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, if this handle's machine still runs.
    fn running(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.boot != self.boot || state.faults.power_is_off() {
            return Err(io::Error::other("the power is off"));
        }
        Ok(state)
    }

    /// How many write points there were so far.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.state().faults.points
    }

    /// How often a fault was injected so far.
    #[must_use]
    pub fn faults_injected(&self) -> u64 {
        self.state().faults.injected
    }

    /// Loses power at a write point, counted from now on: that write is under
    /// way and may or may not survive; whatever comes later fails.
    pub fn lose_power_after(&self, points: u64) {
        let mut state = self.state();
        state.faults.power_lost_at = Some(state.faults.points + points);
    }

    /// Whether power was lost.
    #[must_use]
    pub fn power_is_off(&self) -> bool {
        self.state().faults.power_is_off()
    }

    /// Every sync fails from a write point on, counted from now, of the files
    /// whose path begins with `prefix`.
    pub fn fail_sync_after(&self, points: u64, prefix: &str) {
        let mut state = self.state();
        state.faults.sync_fails_from = Some((state.faults.points + points, prefix.to_owned()));
    }

    /// The disk is full from a write point on, counted from now: what takes no
    /// new room still succeeds.
    pub fn full_after(&self, points: u64) {
        let mut state = self.state();
        state.faults.full_from = Some(state.faults.points + points);
    }

    /// How many bytes the disk has; `None` for no end.
    pub fn set_space(&self, bytes: Option<u64>) {
        let mut state = self.state();
        state.faults.full_from = None;
        state.faults.space = bytes;
    }

    /// The bytes that files take.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Makes every sync succeed without doing anything: a broken disk, to show
    /// that a test would notice one.
    pub fn ignore_syncs(&self, ignore: bool) {
        self.state().faults.syncs_ignored = ignore;
    }

    /// No faults from now on.
    pub fn heal(&self) {
        let mut state = self.state();
        let (points, injected) = (state.faults.points, state.faults.injected);
        state.faults = Faults { points, injected, ..Faults::default() };
    }

    /// The machine lost power and is started again: what was not synced
    /// survives as told, and handles from before don't work any more. Faults
    /// are gone too.
    #[must_use]
    pub fn restart(&self, survivors: Survivors) -> Self {
        let mut state = self.state();
        state.lose_power(survivors);
        self.reboot(state)
    }

    /// The process was killed and is started again: the system has all that was
    /// written, synced or not.
    #[must_use]
    pub fn kill(&self) -> Self {
        self.reboot(self.state())
    }

    fn reboot(&self, mut state: MutexGuard<'_, State>) -> Self {
        state.boot += 1;
        state.locks.clear();
        let (points, injected) = (state.faults.points, state.faults.injected);
        state.faults = Faults { points, injected, ..Faults::default() };
        Self { shared: Arc::clone(&self.shared), boot: state.boot }
    }

    /// A disk of its own with the same contents, all of it durable.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state();
        let fork = Self::new();
        {
            let mut target = fork.state();
            for (path, id) in &state.names {
                let file = state.files.get(id).expect("a name has a file");
                let id = target.next_file;
                target.next_file += 1;
                target.files.insert(id, FileState::durable(file.live().to_vec()));
                target.names.insert(path.clone(), id);
                target.durable_names.insert(path.clone(), id);
            }
        }
        fork
    }

    /// All paths.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// What is in a file, live.
    #[must_use]
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.files.get(state.names.get(path)?)?.live().to_vec())
    }

    /// Puts a file there, durably.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.next_file;
        state.next_file += 1;
        state.files.insert(id, FileState::durable(bytes));
        state.names.insert(path.to_owned(), id);
        state.durable_names.insert(path.to_owned(), id);
    }

    /// Removes a file, durably.
    pub fn lose(&self, path: &str) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
    }

    /// Flips a bit of a file, durably. Whether there is such a bit.
    pub fn flip(&self, path: &str, bit: u64) -> bool {
        let mut state = self.state();
        let Some(id) = state.names.get(path).copied() else { return false };
        state.files.get_mut(&id).is_some_and(|file| file.flip(bit))
    }
}

impl State {
    fn used(&self) -> u64 {
        let ids: BTreeSet<u64> = self.names.values().copied().collect();
        ids.iter().filter_map(|id| self.files.get(id)).map(FileState::used).sum()
    }

    /// The room that is left; all of it if there is no end.
    fn room(&mut self) -> u64 {
        if !self.faults.space_ends() {
            return u64::MAX;
        }
        let used = self.used();
        self.faults.room(used)
    }

    fn change_name(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn lose_power(&mut self, survivors: Survivors) {
        let mut random = Random::new(match survivors {
            Survivors::None | Survivors::All => 0,
            Survivors::Some(seed) => seed,
        });
        let mut pending = std::mem::take(&mut self.pending_names);
        // The changes of one directory survive up to one of them: file systems
        // keep them in order.
        let dirs: BTreeSet<String> = pending.iter().map(|c| c.dir().to_owned()).collect();
        for dir in dirs {
            let of_dir: Vec<_> = pending.extract_if(.., |change| change.dir() == dir).collect();
            let kept = match survivors {
                Survivors::None => 0,
                Survivors::All => of_dir.len(),
                Survivors::Some(_) => random.below(of_dir.len() as u64 + 1) as usize,
            };
            for change in of_dir.into_iter().take(kept) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
        for file in self.files.values_mut() {
            file.lose_power(survivors, &mut random);
        }
    }
}

impl Disk for SimDisk {
    fn make_dir(&self, _dir: &str) -> io::Result<()> {
        self.running().map(drop)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.running()?;
        let names = state.names.keys().filter(|path| dir_of(path) == dir);
        Ok(names.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect())
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.running()?;
        let id = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), id, path: path.to_owned() }))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.running()?;
        let power = state.faults.point();
        if state.room() == 0 {
            state.faults.injected += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = state.next_file;
        state.next_file += 1;
        state.files.insert(id, FileState::default());
        state.change_name(NameChange::Set(path.to_owned(), id));
        power?;
        Ok(Arc::new(SimFile { disk: self.clone(), id, path: path.to_owned() }))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.running()?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let power = state.faults.point();
        state.change_name(NameChange::Remove(path.to_owned()));
        power
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.running()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let power = state.faults.point();
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        power
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.running()?;
        state.faults.point()?;
        state.faults.sync(dir)?;
        if state.faults.syncs_ignored {
            return Ok(());
        }
        let of_dir: Vec<_> = state.pending_names.extract_if(.., |c| c.dir() == dir).collect();
        for change in of_dir {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn lock(&self, path: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut state = self.running()?;
        if !state.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { disk: self.clone(), path: path.to_owned() })))
    }

    fn describe(&self, path: &str) -> String {
        path.to_owned()
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: String,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.disk.boot {
            state.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    id: u64,
    path: String,
}

impl SimFile {
    fn with<T>(&self, f: impl FnOnce(&mut FileState) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.running()?;
        f(state.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?)
    }

    /// One write point: what it does, also when the power goes just then.
    fn change(&self, f: impl FnOnce(&mut FileState, u64) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.disk.running()?;
        let power = state.faults.point();
        let room = state.room();
        let file = state.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let result = f(file, room);
        if result.is_err() {
            state.faults.injected += 1;
        }
        power.and(result)
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.live().len() as u64))
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|file| file.read(offset, buffer))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|file, room| file.write(offset, bytes, room))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|file, _| {
            file.set_len(len);
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(|file, room| file.allocate(len, room))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.running()?;
        state.faults.point()?;
        let outcome = state.faults.sync(&self.path);
        let ignored = state.faults.syncs_ignored;
        let file = state.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        match outcome {
            Ok(()) if ignored => Ok(()),
            Ok(()) => {
                file.sync();
                Ok(())
            }
            Err(error) => {
                file.sync_failed();
                Err(error)
            }
        }
    }
}
