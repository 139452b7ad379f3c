//! The harm. Each act is a name, or a name and a number: `NAME` or `NAME=NUMBER`.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    hint::black_box,
    io::{Read, Write},
    time::Duration,
};

use crate::{Counter, exports::stead::entity::guest::Entity, stead::entity::host};

/// Does an act. What it returns says what came of it.
pub fn act(name: &str) -> Vec<u8> {
    let (name, number) = match name.split_once('=') {
        Some((name, number)) => (name, number.parse().expect("a number")),
        None => (name, 0_usize),
    };
    match name {
        "nothing" => Vec::new(),
        "loop" => spin(),
        "recurse" => recurse(black_box(1)).to_string().into_bytes(),
        "bomb" => bomb(),
        "hoard" => hoard(number),
        "panic" => panic!("told to panic by a test"),
        "panic-long" => panic!("{}", "long ".repeat(100_000)),
        "trap" => trap(),
        "reply" => vec![b'x'; number],
        "sleep" => sleep(),
        "exit" => std::process::exit(7),
        "now" => host::now().to_string().into_bytes(),
        "now-twice" => format!("{} {}", host::now(), later(host::now)).into_bytes(),
        "random" => host::random(u32::try_from(number).expect("a length")),
        "entity-type" => host::entity_type().into_bytes(),
        "wall-clock" => wall_clock(),
        "monotonic-clock" => format!("{:?}", std::time::Instant::now()).into_bytes(),
        "hash-map" => hash_map(),
        "hash-seed" => RandomState::new().hash_one(7).to_string().into_bytes(),
        "second-seed" => second_seed(),
        "file" => said(std::fs::read("/etc/passwd").map(|_| ())),
        "file-write" => said(std::fs::write("/tmp/evil", b"evil")),
        "socket" => said(std::net::TcpStream::connect("127.0.0.1:80").map(|_| ())),
        "listen" => said(std::net::TcpListener::bind("127.0.0.1:0").map(|_| ())),
        "lookup" => said(std::net::TcpStream::connect("localhost:80").map(|_| ())),
        "handles" => handles(number),
        "stdin" => stdin(),
        "environment" => environment(),
        "thread" => said(std::thread::Builder::new().spawn(|| ()).map(|_| ())),
        "print" => print(number),
        "log" => log(number),
        "log-line" => host_log(&"y".repeat(number)),
        "print-forged" => {
            println!("first\x1b[31m red");
            Vec::new()
        }
        other => panic!("there is no act {other}"),
    }
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "that is the harm")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1)) + 1)
}

fn bomb() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Takes memory and keeps it.
fn hoard(bytes: usize) -> Vec<u8> {
    black_box(vec![1_u8; bytes]).leak();
    Vec::new()
}

fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    unreachable!("it runs only as a guest")
}

fn sleep() -> Vec<u8> {
    std::thread::sleep(Duration::from_secs(3_600));
    Vec::new()
}

fn later(now: fn() -> u64) -> u64 {
    for count in 0..1_000_000_u64 {
        black_box(count);
    }
    now()
}

fn wall_clock() -> Vec<u8> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_millis().to_string().into_bytes()
}

fn hash_map() -> Vec<u8> {
    let map: HashMap<u32, u32> = (0..100).map(|n| (n, n)).collect();
    map.values().sum::<u32>().to_string().into_bytes()
}

/// Draws twice what the standard library draws once.
fn second_seed() -> Vec<u8> {
    let first = RandomState::new().hash_one(7);
    let mut bytes = [0; 16];
    let second = random_bytes(&mut bytes);
    format!("{first} {second}").into_bytes()
}

/// What a crate that makes keys would call.
#[cfg(all(target_arch = "wasm32", target_env = "p1"))]
fn random_bytes(bytes: &mut [u8]) -> u16 {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn random_get(at: *mut u8, length: usize) -> u16;
    }
    // SAFETY: the slice is as long as is said.
    unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) }
}

#[cfg(not(all(target_arch = "wasm32", target_env = "p1")))]
fn random_bytes(_: &mut [u8]) -> u16 {
    0
}

/// Makes entities of its own accord and keeps them to itself.
fn handles(count: usize) -> Vec<u8> {
    for _ in 0..count {
        let made = Entity::new(Counter::new(String::new(), 0));
        std::mem::forget(made);
    }
    Vec::new()
}

fn said(result: std::io::Result<()>) -> Vec<u8> {
    match result {
        Ok(()) => b"done".to_vec(),
        Err(error) => format!("failed: {error}").into_bytes(),
    }
}

fn stdin() -> Vec<u8> {
    let mut all = Vec::new();
    match std::io::stdin().read_to_end(&mut all) {
        Ok(count) => count.to_string().into_bytes(),
        Err(error) => format!("failed: {error}").into_bytes(),
    }
}

fn environment() -> Vec<u8> {
    let (variables, arguments) = (std::env::vars().count(), std::env::args().count());
    format!("{variables} {arguments}").into_bytes()
}

fn print(lines: usize) -> Vec<u8> {
    for line in 0..lines {
        println!("line {line}");
        eprintln!("complaint {line}");
    }
    std::io::stdout().flush().expect("standard output takes all");
    Vec::new()
}

fn log(lines: usize) -> Vec<u8> {
    for line in 0..lines {
        host_log(&format!("logged {line}"));
    }
    Vec::new()
}

fn host_log(message: &str) -> Vec<u8> {
    host::log(host::Level::Info, message);
    Vec::new()
}
