//! Random faults, from a seed: whatever the network does, every call gets exactly
//! one result, no answer is another call's, nothing is carried out twice, and
//! calls arrive in order. `STEAD_SEED=…` runs one seed again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_peers::{
    CallError, Lane, PeerInfo, Reply,
    testing::{Faults, FaultySecure},
};
use tokio::task::JoinSet;

use crate::support::{Node, config, number, read_number, start, until};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const CALLS: u64 = 400;

/// What the service was asked, in order, by lane.
type Seen = Arc<Mutex<BTreeMap<Lane, Vec<u64>>>>;

fn service(seen: &Seen, seed: u64) -> impl crate::support::Act + use<> {
    let seen = Arc::clone(seen);
    let random = Mutex::new(Random(seed | 1));
    move |_: &PeerInfo, lane, payload: Bytes, reply: Reply| {
        seen.lock().expect("not poisoned").entry(lane).or_default().push(read_number(&payload));
        match random.lock().expect("not poisoned").below(10) {
            0 => drop(reply),
            1..4 => {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    reply.answer(payload);
                });
            }
            _ => reply.answer(payload),
        }
    }
}

/// Does something to the network, and undoes it.
async fn disturb(faults: &Faults, random: &mut Random) {
    let ms = Duration::from_millis;
    match random.below(7) {
        0 => faults.cut(),
        1 => faults.hold_reads(true),
        2 => faults.hold_writes(true),
        3 => faults.delay(Some(ms(0)..ms(1 + random.below(20)))),
        4 => faults.trickle(Some((1 + random.below(300) as usize, ms(1)))),
        5 => faults.corrupt_one_in(Some(1 + random.below(5) as u32)),
        _ => {}
    }
    tokio::time::sleep(ms(random.below(60))).await;
    if random.below(3) > 0 {
        faults.heal();
    }
}

async fn run(seed: u64) -> [u64; 5] {
    let seen = Seen::default();
    let faults = Faults::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut config_a = config(1);
    config_a.secure = Arc::new(FaultySecure::all(&faults));
    config_a.times.control_ping = Duration::from_millis(20);
    config_a.times.control_silence = Duration::from_millis(200);
    config_a.times.handshake_max = Duration::from_millis(300);
    let mut config_b = config(2);
    for lane in Lane::ALL {
        config_b.lanes.get_mut(lane).window_calls = 16;
    }
    let b = start(config_b, service(&seen, seed));
    let a = Arc::new(start(config_a, crate::support::echo));
    a.knows(&b);

    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    let disturbing = {
        let (faults, mut random) = (faults.clone(), Random(random.below(u64::MAX) | 1));
        tokio::spawn(async move {
            loop {
                disturb(&faults, &mut random).await;
            }
        })
    };
    let mut results = JoinSet::new();
    for at in 0..CALLS {
        let lane = Lane::ALL[random.below(4) as usize];
        let mut payload =
            vec![0; 8 + random.below(if at % 10 == 0 { 50_000 } else { 500 }) as usize];
        payload[..8].copy_from_slice(&at.to_le_bytes());
        let payload = Bytes::from(payload);
        let within = Duration::from_millis(random.below(800));
        let call = a.peers.call(b.id, lane, payload.clone(), Instant::now() + within);
        results.spawn(async move { (at, lane, payload, call.await) });
        if random.below(4) == 0 {
            tokio::time::sleep(Duration::from_millis(random.below(8))).await;
        }
    }
    let mut counts = [0; 5];
    let mut not_carried_out = BTreeSet::new();
    let mut answered = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    while let Some(result) = results.join_next().await {
        let (at, lane, payload, result) = result.expect("no panic");
        assert!(numbers.insert(at), "seed {seed}: two results of call {at}");
        match result {
            Ok(answer) => {
                assert!(answer == payload, "seed {seed}: call {at} has another's answer");
                answered.insert((lane, at));
                counts[0] += 1;
            }
            Err(error) if error.may_have_been_carried_out() => counts[1] += 1,
            Err(error) => {
                assert!(!matches!(error, CallError::UnknownPeer(_)), "seed {seed}: {error}");
                not_carried_out.insert((lane, at));
                counts[2] += 1;
            }
        }
    }
    assert_eq!(numbers.len() as u64, CALLS, "seed {seed}");
    disturbing.abort();
    let _ = disturbing.await;
    heals(&a, &b, &faults, seed).await;
    let done = faults.counts();
    counts[3] = done.cut + done.corrupted + done.delayed + done.trickled + done.held;

    let seen = seen.lock().expect("not poisoned");
    for (lane, calls) in &*seen {
        let calls: Vec<_> = calls.iter().copied().filter(|at| *at < CALLS).collect();
        assert!(calls.is_sorted_by(|one, two| one < two), "seed {seed}: {lane}: {calls:?}");
        for at in &calls {
            assert!(!not_carried_out.contains(&(*lane, *at)), "seed {seed}: {lane} {at}");
        }
        counts[4] += calls.len() as u64;
    }
    for (lane, at) in answered {
        assert!(seen.get(&lane).is_some_and(|calls| calls.contains(&at)), "seed {seed}");
    }
    counts
}

/// After the faults all is well again, and nothing is left in a window.
async fn heals(a: &Node, b: &Node, faults: &Faults, seed: u64) {
    faults.heal();
    for lane in Lane::ALL {
        let begun = Instant::now();
        loop {
            a.peers.nudge(b.id);
            let payload = number(CALLS);
            // Some are dropped by the service.
            match a
                .peers
                .call(b.id, lane, payload.clone(), Instant::now() + Duration::from_secs(2))
                .await
            {
                Ok(answer) => break assert_eq!(answer, payload),
                Err(error) => {
                    assert!(begun.elapsed() < crate::support::LONG, "seed {seed}: {lane}: {error}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }
    until("windows are empty", || {
        let lanes = a.peers.status()[0].lanes.clone();
        Lane::ALL.into_iter().all(|lane| {
            let lane = lanes.get(lane);
            lane.in_flight == 0 && lane.waiting == 0
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_gets_exactly_one_result_whatever_the_network_does() {
    let seeds = match std::env::var("STEAD_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("a seed is a number");
            seed..seed + 1
        }
        Err(_) => 1..9,
    };
    let many = seeds.end - seeds.start > 1;
    let mut total = [0; 5];
    for seed in seeds {
        println!("seed {seed}");
        for (sum, count) in total.iter_mut().zip(run(seed).await) {
            *sum += count;
        }
    }
    println!("answered, unknown, not carried out, faults, carried out: {total:?}");
    assert!(!many || total.iter().all(|count| *count > 0), "it has shown too little: {total:?}");
}
