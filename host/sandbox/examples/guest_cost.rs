//! What guests cost the host: a command, an event replayed, an instance, an
//! entity.
//!
//!     cargo run --release -p stead-sandbox --example guest_cost [COMPONENT COMMAND BODY QUERY]
//!
//! Without arguments it builds and measures the counter in `tests/guests`. The
//! command must be one that an entity accepts again and again; what is replayed
//! is the event that it records.

use std::{
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use stead_model::{EntityId, EntityType, GuestLimits, Outcome};
use stead_sandbox::{Entity, Instance, LoadedComponent, Sandbox, SandboxOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is measured.
struct Subject {
    component: LoadedComponent,
    entity_type: EntityType,
    command: String,
    body: String,
    query: String,
}

impl Subject {
    fn handle(&self, instance: &mut Instance, entity: &Entity, id: &EntityId) -> Result<Outcome> {
        let answer = instance.handle(entity, id, &self.command, self.body.as_bytes())?;
        Ok(answer.map_err(|no| no.message)?)
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = match arguments.next() {
        Some(path) => path.into(),
        None => stead_test_support::guest("evil"),
    };
    let mut argument = |usual: &str| arguments.next().unwrap_or_else(|| usual.to_owned());
    let (command, body, query) = (argument("add"), argument("1"), argument("total"));
    let sandbox = Sandbox::new(SandboxOptions::new(GuestLimits::default()))?;
    let begin = Instant::now();
    let component = sandbox.load_file(&path)?;
    println!(
        "component          {} bytes, {} of machine code, loaded in {:?}",
        component.component_bytes(),
        component.machine_code_bytes(),
        begin.elapsed()
    );
    let subject =
        Subject { component, entity_type: EntityType::new("measured")?, command, body, query };
    calls(&subject)?;
    replay(&subject)?;
    for count in [100_000, 1_000_000] {
        entities(&subject, count)?;
    }
    instances(&subject)?;
    Ok(())
}

/// The best of several rounds: what it costs when nothing else disturbs.
fn best(rounds: usize, mut round: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        best = best.min(round()?);
    }
    Ok(best)
}

fn each(whole: Duration, count: u32) -> f64 {
    whole.as_secs_f64() * 1e6 / f64::from(count)
}

fn calls(subject: &Subject) -> Result<()> {
    const CALLS: u32 = 200_000;
    let mut instance = subject.component.instantiate(&subject.entity_type)?;
    let id = EntityId::new("42")?;
    let entity = instance.create(&id)?;
    let command = best(5, || {
        let begin = Instant::now();
        for _ in 0..CALLS {
            black_box(subject.handle(&mut instance, &entity, &id)?);
        }
        Ok(begin.elapsed())
    })?;
    let query = best(5, || {
        let begin = Instant::now();
        for _ in 0..CALLS {
            black_box(instance.query(&entity, &id, &subject.query, b"")?.map_err(|no| no.message)?);
        }
        Ok(begin.elapsed())
    })?;
    println!("command            {:.2} µs", each(command, CALLS));
    println!("query              {:.2} µs", each(query, CALLS));
    Ok(())
}

fn replay(subject: &Subject) -> Result<()> {
    let mut instance = subject.component.instantiate(&subject.entity_type)?;
    let id = EntityId::new("42")?;
    let entity = instance.create(&id)?;
    let event = subject.handle(&mut instance, &entity, &id)?.events.pop();
    let event = event.ok_or("the command records no event")?;
    println!("event              {} bytes, {:?}", event.size(), event.name);
    for batch in [1_usize, 16, 256, 4_096] {
        let events = vec![event.clone(); batch];
        let crossings = (200_000 / batch).max(1);
        let whole = best(5, || {
            let begin = Instant::now();
            for _ in 0..crossings {
                instance.apply(&entity, &id, &events)??;
            }
            Ok(begin.elapsed())
        })?;
        let rate = (crossings * batch) as f64 / whole.as_secs_f64();
        println!("replay             {:.2} million events/s, {batch} in a crossing", rate / 1e6);
    }
    Ok(())
}

fn instances(subject: &Subject) -> Result<()> {
    const INSTANCES: u32 = 2_000;
    let id = EntityId::new("42")?;
    let mut kept = Vec::with_capacity(INSTANCES as usize);
    let before = resident_bytes()?;
    let begin = Instant::now();
    for _ in 0..INSTANCES {
        kept.push(subject.component.instantiate(&subject.entity_type)?);
    }
    let made = begin.elapsed();
    let begin = Instant::now();
    for instance in &mut kept {
        let entity = instance.create(&id)?;
        subject.handle(instance, &entity, &id)?;
    }
    let first = begin.elapsed();
    let resident = resident_bytes()?.saturating_sub(before);
    println!("instance           {:.1} µs to make", each(made, INSTANCES));
    println!(
        "                   {:.1} µs more to its first entity's reply",
        each(first, INSTANCES)
    );
    println!(
        "                   {} KiB resident, with one entity; with all {INSTANCES} the process has {} KiB of page tables and {} mappings",
        (resident / INSTANCES as usize) >> 10,
        page_table_bytes()? >> 10,
        std::fs::read_to_string("/proc/self/maps")?.lines().count()
    );
    let begin = Instant::now();
    drop(kept);
    println!("                   {:.1} µs to drop", each(begin.elapsed(), INSTANCES));
    Ok(())
}

fn entities(subject: &Subject, count: u32) -> Result<()> {
    let mut instance = subject.component.instantiate(&subject.entity_type)?;
    let ids: Vec<EntityId> =
        (0..count).map(|n| EntityId::new(&n.to_string())).collect::<std::result::Result<_, _>>()?;
    let mut kept = Vec::with_capacity(ids.len());
    let before = resident_bytes()?;
    let begin = Instant::now();
    for id in &ids {
        let entity = instance.create(id)?;
        subject.handle(&mut instance, &entity, id)?;
        kept.push(entity);
    }
    let made = begin.elapsed();
    let resident = resident_bytes()?.saturating_sub(before);
    println!(
        "entity             {} bytes each with its handle ({} of it linear memory, {} the handle), {} of them in one instance, {:.2} µs to make one and handle a command",
        resident / ids.len(),
        instance.memory_bytes() / ids.len(),
        size_of::<Entity>(),
        count,
        each(made, count)
    );
    Ok(())
}

fn resident_bytes() -> Result<usize> {
    status("VmRSS:")
}

fn page_table_bytes() -> Result<usize> {
    status("VmPTE:")
}

fn status(name: &str) -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such figure")?;
    let kilobytes: usize = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kilobytes << 10)
}
