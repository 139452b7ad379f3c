//! Native guests that do as they are told, bad things too.
//!
//! The entity counts, and keeps the last word that it was given. Commands:
//! `add N`, `say WORD`, `many N`, `nothing`, `no`, `end`, `purge`, and those that
//! hurt: `trap`, `refuse`, `cheat` (changes state without an event),
//! `rot` (from now on folding traps in this component's entities).

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use stead_model::{Address, Effect, Event, Lifecycle, Outcome, Rejection};

use crate::ports::{GuestFault, Guests};

/// A component: what its version does differently.
#[derive(Debug, Clone, Default)]
pub struct Code {
    /// Snapshots of these formats can be restored; it writes the last.
    pub formats: Vec<u8>,
    /// Folding an event with this text traps.
    pub traps_on: Option<&'static str>,
    /// Folding an event with this text is refused.
    pub cannot_apply: Option<&'static str>,
    /// Its snapshots say one more than there is.
    pub lying: bool,
    /// Snapshots trap.
    pub snapshot_traps: bool,
    /// Restoring traps.
    pub restore_traps: bool,
}

impl Code {
    pub fn sound() -> Self {
        Self { formats: vec![1], ..Self::default() }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub sum: u64,
    pub last: String,
}

pub struct Instance {
    code: Code,
    entities: BTreeMap<u32, State>,
    next: u32,
    /// The most entities that it ever held: its memory only grows.
    peak: usize,
    dead: bool,
    calls: Rc<RefCell<Calls>>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.calls.borrow_mut().instances -= 1;
    }
}

/// What was called, for tests that count.
#[derive(Debug, Default, Clone)]
pub struct Calls {
    pub instantiated: u64,
    /// How many instances there are now.
    pub instances: u64,
    /// No instance can be made.
    pub no_instances: bool,
    pub created: u64,
    pub restored: u64,
    pub applied_events: u64,
    pub handled: u64,
}

#[derive(Default, Clone)]
pub struct Natives {
    pub calls: Rc<RefCell<Calls>>,
}

impl Natives {
    pub fn calls(&self) -> Calls {
        self.calls.borrow().clone()
    }
}

fn trap(why: &str) -> GuestFault {
    GuestFault::Trap(why.to_owned())
}

impl Instance {
    /// How many entities are in it.
    pub fn held(&self) -> usize {
        self.entities.len()
    }

    fn alive(&self) {
        assert!(!self.dead, "an instance was called after it trapped");
    }

    fn add(&mut self, state: State) -> u32 {
        self.next += 1;
        self.entities.insert(self.next, state);
        self.peak = self.peak.max(self.entities.len());
        self.next
    }

    fn fold(&mut self, entity: u32, event: &Event) -> Result<Result<(), String>, GuestFault> {
        let text = String::from_utf8(event.body.clone()).expect("text");
        if self.code.traps_on.is_some_and(|bad| bad == text) {
            self.dead = true;
            return Err(trap("fold"));
        }
        if self.code.cannot_apply.is_some_and(|bad| bad == text) {
            return Ok(Err(format!("unknown event {text}")));
        }
        let state = self.entities.get_mut(&entity).expect("a live entity");
        match event.name.as_str() {
            "added" => state.sum += text.parse::<u64>().expect("a number"),
            "said" => state.last = text,
            other => panic!("no such event {other}"),
        }
        Ok(Ok(()))
    }
}

impl Guests for Natives {
    type Component = Code;
    type Instance = Instance;
    type Entity = u32;

    fn instantiate(&mut self, component: &Code) -> Result<Instance, GuestFault> {
        if self.calls.borrow().no_instances {
            return Err(GuestFault::Host("out of memory maps".into()));
        }
        self.calls.borrow_mut().instantiated += 1;
        self.calls.borrow_mut().instances += 1;
        let (code, calls) = (component.clone(), Rc::clone(&self.calls));
        Ok(Instance { code, entities: BTreeMap::new(), next: 0, peak: 0, dead: false, calls })
    }

    fn create(&mut self, instance: &mut Instance, address: &Address) -> Result<u32, GuestFault> {
        instance.alive();
        if address.id.as_str().starts_with("stillborn") {
            instance.dead = true;
            return Err(trap("constructor"));
        }
        self.calls.borrow_mut().created += 1;
        Ok(instance.add(State::default()))
    }

    fn restore(
        &mut self,
        instance: &mut Instance,
        _: &Address,
        snapshot: &[u8],
    ) -> Result<Result<u32, String>, GuestFault> {
        instance.alive();
        if instance.code.restore_traps {
            instance.dead = true;
            return Err(trap("restore"));
        }
        let (format, rest) = snapshot.split_first().expect("a format");
        if !instance.code.formats.contains(format) {
            return Ok(Err(format!("format {format}")));
        }
        let text = String::from_utf8(rest.to_vec()).expect("text");
        let (sum, last) = text.split_once(' ').expect("two parts");
        self.calls.borrow_mut().restored += 1;
        let state = State { sum: sum.parse().expect("a number"), last: last.to_owned() };
        Ok(Ok(instance.add(state)))
    }

    fn apply(
        &mut self,
        instance: &mut Instance,
        entity: &mut u32,
        _: &Address,
        events: &[Event],
    ) -> Result<Result<(), String>, GuestFault> {
        instance.alive();
        self.calls.borrow_mut().applied_events += events.len() as u64;
        for event in events {
            if let Err(refused) = instance.fold(*entity, event)? {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(()))
    }

    fn handle(
        &mut self,
        instance: &mut Instance,
        entity: &mut u32,
        _: &Address,
        command: &str,
        body: &[u8],
    ) -> Result<Result<Outcome, Rejection>, GuestFault> {
        instance.alive();
        self.calls.borrow_mut().handled += 1;
        let text = std::str::from_utf8(body).expect("text");
        let event = |name: &str, text: &str| Event { name: name.into(), body: text.into() };
        let mut outcome = Outcome::default();
        match command {
            "add" => outcome.events.push(event("added", text)),
            "say" => outcome.events.push(event("said", text)),
            "many" => {
                let count = text.parse().expect("a number");
                outcome.events = vec![event("added", "1"); count];
            }
            "nothing" => {}
            "no" => {
                let message = text.to_owned();
                return Ok(Err(Rejection {
                    status: 422,
                    code: "no".into(),
                    message,
                    details: None,
                }));
            }
            "end" => outcome.lifecycle = Lifecycle::EndsKeepingEvents,
            "purge" => outcome.lifecycle = Lifecycle::EndsPurgingEvents,
            "effect" => outcome.effects.push(Effect { kind: "k".into(), body: vec![] }),
            "trap" => {
                instance.dead = true;
                return Err(trap("handle"));
            }
            "refuse" => {
                instance.entities.get_mut(entity).expect("live").sum += 1_000_000;
                return Err(GuestFault::Refused("too much".into()));
            }
            "cheat" => instance.entities.get_mut(entity).expect("live").sum += 1,
            other => panic!("no such command {other}"),
        }
        for event in &outcome.events {
            if let Err(why) = instance.fold(*entity, event)? {
                instance.dead = true;
                return Err(trap(&why));
            }
        }
        let state = &instance.entities[entity];
        outcome.reply = format!("{} {}", state.sum, state.last).into_bytes();
        Ok(Ok(outcome))
    }

    fn query(
        &mut self,
        instance: &mut Instance,
        entity: &mut u32,
        _: &Address,
        _: &str,
        _: &[u8],
    ) -> Result<Result<Vec<u8>, Rejection>, GuestFault> {
        instance.alive();
        let state = &instance.entities[entity];
        Ok(Ok(format!("{} {}", state.sum, state.last).into_bytes()))
    }

    fn snapshot(
        &mut self,
        instance: &mut Instance,
        entity: &mut u32,
        _: &Address,
    ) -> Result<Vec<u8>, GuestFault> {
        instance.alive();
        if instance.code.snapshot_traps {
            instance.dead = true;
            return Err(trap("snapshot"));
        }
        let state = &instance.entities[entity];
        let mut bytes = vec![*instance.code.formats.last().expect("a format")];
        if instance.code.lying {
            bytes.extend_from_slice(format!("{} {}", state.sum + 1, state.last).as_bytes());
        } else {
            bytes.extend_from_slice(format!("{} {}", state.sum, state.last).as_bytes());
        }
        Ok(bytes)
    }

    fn release(&mut self, instance: &mut Instance, entity: u32) -> Result<(), GuestFault> {
        instance.alive();
        instance.entities.remove(&entity).expect("it was live");
        Ok(())
    }

    fn memory_bytes(&self, instance: &Instance) -> usize {
        1_000 + instance.peak * 100
    }
}
