//! Kept compilations: used when they are this node's own and whole, and never
//! otherwise.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use stead_sandbox::{Compiler, Sandbox, SandboxOptions};

use crate::house::{House, evil_bytes, evil_mode, limits, options};

/// A sandbox with a cache, and how often it compiled. Each load that is not
/// served by the cache starts the compiler.
struct Counted {
    sandbox: Sandbox,
    compiled: Arc<AtomicUsize>,
}

impl Counted {
    fn open(dir: &Path) -> Self {
        Self::with(SandboxOptions { cache_dir: Some(dir.join("compiled")), ..options(limits()) })
    }

    fn with(options: SandboxOptions) -> Self {
        let compiled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&compiled);
        let compiler = Compiler::Child(Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            std::process::Command::new(env!("CARGO_BIN_EXE_stead-compile-worker"))
        }));
        let sandbox = Sandbox::new(SandboxOptions { compiler, ..options }).expect("a sandbox");
        Self { sandbox, compiled }
    }

    /// Loads, checks that what was loaded is right, and says whether it was compiled.
    fn load(&self, bytes: &[u8]) -> bool {
        let before = self.compiled.load(Ordering::Relaxed);
        let component = self.sandbox.load(bytes).expect("it loads");
        assert_eq!(House::of(&component, "a").add(5), "5");
        self.compiled.load(Ordering::Relaxed) > before
    }
}

fn kept(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("compiled"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn the_kept(dir: &Path) -> PathBuf {
    let mut files = kept(dir);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn a_compilation_is_kept_across_starts() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Counted::open(dir.path()).load(&evil_bytes()));
    let again = Counted::open(dir.path());
    assert!(!again.load(&evil_bytes()));
    assert!(!again.load(&evil_bytes()));
}

#[test]
fn an_altered_file_is_compiled_anew_wherever_it_was_altered() {
    let dir = tempfile::tempdir().expect("a directory");
    let counted = Counted::open(dir.path());
    assert!(counted.load(&evil_bytes()));
    let whole = fs::read(the_kept(dir.path())).expect("it is there");
    for at in [0, 7, 8, 39, 40, 100, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(the_kept(dir.path()), bytes).expect("it is ours");
        assert!(counted.load(&evil_bytes()), "the bit at {at}");
        assert!(!counted.load(&evil_bytes()));
    }
}

#[test]
fn a_torn_file_is_compiled_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let counted = Counted::open(dir.path());
    assert!(counted.load(&evil_bytes()));
    let whole = fs::read(the_kept(dir.path())).expect("it is there");
    for length in [0, 7, 8, 40, 41, whole.len() - 1] {
        fs::write(the_kept(dir.path()), &whole[..length]).expect("it is ours");
        assert!(counted.load(&evil_bytes()), "{length} bytes");
    }
    let mut longer = whole;
    longer.push(0);
    fs::write(the_kept(dir.path()), longer).expect("it is ours");
    assert!(counted.load(&evil_bytes()));
}

#[test]
fn a_file_is_good_only_under_its_own_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let counted = Counted::open(dir.path());
    // The same code but for a text: what one does, the other would do as well.
    let (one, other) = (evil_bytes(), evil_mode("nothing"));
    assert!(counted.load(&one));
    let file_of_one = the_kept(dir.path());
    assert!(counted.load(&other));
    let file_of_other = kept(dir.path()).into_iter().find(|path| *path != file_of_one);
    let file_of_other = file_of_other.expect("there are two");
    fs::copy(&file_of_one, &file_of_other).expect("they are ours");
    assert!(counted.load(&other));
    assert!(!counted.load(&one));
}

#[test]
fn a_file_of_another_node_is_not_run() {
    let (ours, theirs) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
    assert!(Counted::open(ours.path()).load(&evil_bytes()));
    assert!(Counted::open(theirs.path()).load(&evil_bytes()));
    fs::copy(the_kept(theirs.path()), the_kept(ours.path())).expect("they are ours");
    assert!(Counted::open(ours.path()).load(&evil_bytes()));
}

#[test]
fn code_for_other_settings_is_not_used() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Counted::open(dir.path()).load(&evil_bytes()));
    let file = the_kept(dir.path());
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    // A name of the same component by another compiler.
    let (component, _) = name.split_once('-').expect("two parts");
    let other = file.with_file_name(format!("{component}-000000000000.compiled"));
    fs::rename(&file, &other).expect("it is ours");
    assert!(Counted::open(dir.path()).load(&evil_bytes()));
    assert_eq!(kept(dir.path()).len(), 2);
}

#[test]
fn a_lost_key_costs_only_time() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Counted::open(dir.path()).load(&evil_bytes()));
    fs::remove_file(dir.path().join("compiled.key")).expect("it is there");
    let again = Counted::open(dir.path());
    assert!(again.load(&evil_bytes()));
    assert!(!again.load(&evil_bytes()));
}

#[test]
fn the_cache_is_bounded_and_drops_what_was_not_used_for_longest() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Counted::open(dir.path()).load(&evil_bytes()));
    let size = fs::metadata(the_kept(dir.path())).expect("it is there").len();
    let counted = Counted::with(SandboxOptions {
        cache_dir: Some(dir.path().join("compiled")),
        cache_bytes_max: size * 5 / 2,
        ..options(limits())
    });
    let (one, two, three) = (evil_bytes(), evil_mode("nothing"), evil_mode("hash-map"));
    assert!(counted.load(&two));
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!counted.load(&one));
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(counted.load(&three));
    assert_eq!(kept(dir.path()).len(), 2);
    assert!(!counted.load(&one), "it was used after the one that went");
    assert!(counted.load(&two));
}

#[test]
fn what_a_crash_left_half_written_is_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Counted::open(dir.path()).load(&evil_bytes()));
    fs::write(dir.path().join("compiled/1-0.unfinished"), b"half").expect("it is ours");
    Counted::open(dir.path());
    the_kept(dir.path());
}

#[test]
fn a_cache_that_can_not_be_had_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let dir = file.path().join("compiled");
    let options = SandboxOptions { cache_dir: Some(dir.clone()), ..options(limits()) };
    let error = Sandbox::new(options).expect_err("there is no place for it");
    assert!(error.to_string().contains(&dir.display().to_string()), "{error}");
}

#[test]
fn a_cache_that_can_not_be_written_costs_only_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let counted = Counted::open(dir.path());
    fs::remove_dir_all(dir.path().join("compiled")).expect("it is ours");
    assert!(counted.load(&evil_bytes()));
    assert!(counted.load(&evil_bytes()));
}
