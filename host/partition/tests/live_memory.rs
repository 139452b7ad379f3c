//! What the engine itself needs for an entity in memory, counted by the
//! allocator: a million of them may be live on a node.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use stead_model::{
    Address, Description, EntityId, EntityType, Event, Manifest, Operation, Outcome, Rejection,
    RequestId, SequenceNumber, TimestampMs, TypeVersion,
};
use stead_partition::{
    Command, Deployment, Effect, Engine, EngineConfig, Input, Ticket,
    ports::{
        EntityRecord, GuestFault, Guests, RecordedReply, StoreFault, StoreReader, StoredSnapshot,
    },
};

/// The system's allocator, with a count of what is in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// What malloc takes for a request of so many bytes: its header, and rounding.
fn footprint(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16).max(32)
}

// SAFETY: both methods hand their arguments on to the system's allocator, which
// keeps the contract; the count touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(footprint(layout), Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(footprint(layout), Relaxed);
        // SAFETY: `at` came from `alloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Guests that keep nothing, with handles as large as the sandbox's.
struct Weightless;

impl Guests for Weightless {
    type Component = ();
    type Instance = ();
    type Entity = [u64; 3];

    fn instantiate(&mut self, (): &()) -> Result<(), GuestFault> {
        Ok(())
    }

    fn create(&mut self, (): &mut (), _: &Address) -> Result<[u64; 3], GuestFault> {
        Ok([0; 3])
    }

    fn restore(
        &mut self,
        (): &mut (),
        _: &Address,
        _: &[u8],
    ) -> Result<Result<[u64; 3], String>, GuestFault> {
        Ok(Ok([0; 3]))
    }

    fn apply(
        &mut self,
        (): &mut (),
        _: &mut [u64; 3],
        _: &Address,
        _: &[Event],
    ) -> Result<Result<(), String>, GuestFault> {
        Ok(Ok(()))
    }

    fn handle(
        &mut self,
        (): &mut (),
        _: &mut [u64; 3],
        _: &Address,
        _: &str,
        _: &[u8],
    ) -> Result<Result<Outcome, Rejection>, GuestFault> {
        let event = Event { name: "added".into(), body: vec![0; 16] };
        Ok(Ok(Outcome { events: vec![event], reply: vec![0; 16], ..Outcome::default() }))
    }

    fn query(
        &mut self,
        (): &mut (),
        _: &mut [u64; 3],
        _: &Address,
        _: &str,
        _: &[u8],
    ) -> Result<Result<Vec<u8>, Rejection>, GuestFault> {
        Ok(Ok(vec![]))
    }

    fn snapshot(
        &mut self,
        (): &mut (),
        _: &mut [u64; 3],
        _: &Address,
    ) -> Result<Vec<u8>, GuestFault> {
        Ok(vec![])
    }

    fn release(&mut self, (): &mut (), _: [u64; 3]) -> Result<(), GuestFault> {
        Ok(())
    }

    fn memory_bytes(&self, (): &()) -> usize {
        0
    }
}

struct Empty;

impl StoreReader for Empty {
    fn entity(&self, _: &Address) -> Result<Option<EntityRecord>, StoreFault> {
        Ok(None)
    }

    fn snapshot(
        &self,
        _: &Address,
        _: SequenceNumber,
    ) -> Result<Option<StoredSnapshot>, StoreFault> {
        Ok(None)
    }

    fn events(
        &self,
        _: &Address,
        _: SequenceNumber,
        _: SequenceNumber,
        _: usize,
        _: usize,
    ) -> Result<Vec<Event>, StoreFault> {
        Ok(vec![])
    }

    fn reply(&self, _: &Address, _: &RequestId) -> Result<Option<RecordedReply>, StoreFault> {
        Ok(None)
    }
}

fn engine() -> Engine<Weightless> {
    let mut engine = Engine::new(EngineConfig::default());
    let entity_type = EntityType::new("cart").expect("a type");
    let add = Operation {
        name: "add".into(),
        summary: String::new(),
        request_type: String::new(),
        request_schema: None,
        reply_type: String::new(),
        reply_schema: None,
    };
    let deployment = Deployment {
        entity_type: entity_type.clone(),
        version: TypeVersion(1),
        component: (),
        description: Arc::new(Description { commands: vec![add], ..Description::default() }),
        manifest: Arc::new(Manifest::new(entity_type)),
    };
    let input = Input::Deploy(deployment);
    engine.step(input, TimestampMs(1), &mut Weightless, &Empty, &mut vec![]);
    engine
}

/// Gives each of `count` entities one command, and waits until all are at rest.
fn make_live(engine: &mut Engine<Weightless>, count: u64) {
    let (name, now): (Arc<str>, _) = ("add".into(), TimestampMs(1));
    let (entity_type, mut effects) = (EntityType::new("cart").expect("a type"), vec![]);
    for id in 0..count {
        let id = EntityId::new(&format!("customer-{id:08}")).expect("an id");
        let command = Command {
            ticket: Ticket(1),
            address: Address::new(entity_type.clone(), id),
            name: Arc::clone(&name),
            body: Arc::from([]),
            request: RequestId::Minted(0),
            fresh: true,
            deadline: TimestampMs(u64::MAX),
        };
        engine.step(Input::Command(command), now, &mut Weightless, &Empty, &mut effects);
        engine.turn(now, &mut Weightless, &Empty, &mut effects);
        let appended = effects.drain(..).filter_map(|effect| match effect {
            Effect::Append { batch, .. } => Some(batch),
            Effect::Answer { .. } | Effect::ApplySoon => None,
        });
        if let Some(through) = appended.max() {
            let inputs = [Input::Committed { through }, Input::Applied { through }];
            for input in inputs {
                engine.step(input, now, &mut Weightless, &Empty, &mut effects);
            }
        }
        effects.clear();
    }
    assert!(engine.is_idle());
    assert_eq!(engine.counters(&Weightless).live, count);
}

/// Per entity, beside the guest's own memory; the id is part of it. The sizes are
/// those where the tables have just grown, where they are full, and a 64th of a
/// million.
#[test]
fn a_live_entity_needs_at_most_250_bytes() {
    let mut worst = 0.0_f64;
    for count in [6_144, 6_145, 8_193, 12_289, 15_625, 16_385, 31_250] {
        let mut engine = engine();
        let before = IN_USE.load(Relaxed);
        make_live(&mut engine, count);
        let bytes = (IN_USE.load(Relaxed) - before) as f64 / count as f64;
        println!("{count} live entities: {bytes:.0} bytes each");
        worst = worst.max(bytes);
    }
    println!("handle of 24 bytes and id of 17 included");
    assert!(worst <= 250.0, "{worst} bytes each");
}
