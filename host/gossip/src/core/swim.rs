//! Foca, and what of it has to be seen from outside.
//!
//! Foca is fed datagrams and timers and says what to send and which timers to arm.
//! Two things that it keeps to itself are read off what it sends: which probe is
//! outstanding, and the incarnation that it speaks from.

use std::time::Duration;

use foca::{
    Codec, Foca, Header, Incarnation, Message, Notification, PostcardCodec, ProbeNumber, Runtime,
    State, TimerToken,
};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use crate::config::Config;
use crate::identity::Identity;

type FocaMember = foca::Member<Identity>;

/// What foca wants done.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// To whom, what.
    pub(super) sends: Vec<(Identity, Vec<u8>)>,
    /// After how long, what.
    pub(super) timers: Vec<(Duration, foca::Timer<Identity>)>,
    /// Whether foca can't go on in any life.
    pub(super) defunct: bool,
}

/// What a packet of foca's says.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) header: Header<Identity>,
    pub(super) news: Vec<FocaMember>,
}

pub(super) struct Swim {
    foca: Foca<Identity, PostcardCodec, Xoshiro256PlusPlus, foca::NoCustomBroadcast>,
    wanted: Wanted,
    /// What is to be sent beside what foca wants, kept apart so that a probe of ours
    /// isn't taken for one of foca's.
    ours: Vec<(Identity, Vec<u8>)>,
    /// The last that foca armed a probe with: what it takes to arm a judgement.
    token: TimerToken,
    /// Of the last that was sent.
    incarnation: Incarnation,
    /// The last that was asked whether it lives, and the number of the question.
    outstanding: Option<(Identity, ProbeNumber)>,
}

impl Swim {
    pub(super) fn new(identity: Identity, config: &Config, seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self {
            foca: Foca::new(identity, config.for_foca(), random, PostcardCodec),
            wanted: Wanted::default(),
            ours: Vec::new(),
            token: TimerToken::default(),
            incarnation: Incarnation::default(),
            outstanding: None,
        }
    }

    pub(super) fn identity(&self) -> &Identity {
        self.foca.identity()
    }

    /// Everyone that foca knows, at most one to an address.
    pub(super) fn known(&self) -> impl ExactSizeIterator<Item = &FocaMember> {
        self.foca.iter_membership_state()
    }

    /// The one known at the address of `identity`.
    pub(super) fn at_address_of(&self, identity: &Identity) -> Option<&FocaMember> {
        self.known().find(|member| member.id().gossip == identity.gossip)
    }

    pub(super) fn num_present(&self) -> usize {
        self.foca.num_members()
    }

    pub(super) fn is_present(&self, identity: &Identity) -> bool {
        self.at_address_of(identity)
            .is_some_and(|member| member.id() == identity && member.state() != State::Down)
    }

    /// Takes what foca wanted done since the last call.
    pub(super) fn take_wanted(&mut self) -> Wanted {
        let mut wanted = std::mem::take(&mut self.wanted);
        for (to, bytes) in &wanted.sends {
            let header: Result<Header<Identity>, _> =
                PostcardCodec.decode_header(&mut bytes.as_slice());
            let Ok(header) = header else { continue };
            self.incarnation = header.src_incarnation;
            if let Message::Ping(number) = header.message {
                self.outstanding = Some((to.clone(), number));
            }
        }
        for (_, timer) in &wanted.timers {
            if let foca::Timer::ProbeRandomMember(token) = timer {
                self.token = *token;
            }
        }
        wanted.sends.append(&mut self.ours);
        wanted
    }

    pub(super) fn data(&mut self, body: &[u8]) -> Result<(), foca::Error> {
        self.foca.handle_data(body, &mut self.wanted)
    }

    pub(super) fn timer(&mut self, timer: foca::Timer<Identity>) -> Result<(), foca::Error> {
        self.foca.handle_timer(timer, &mut self.wanted)
    }

    /// Asks the node at the address of `to` for everyone it knows, which also makes
    /// this node known to it.
    pub(super) fn announce(&mut self, to: Identity) -> Result<(), foca::Error> {
        self.foca.announce(to, &mut self.wanted)
    }

    pub(super) fn tell_news(&mut self) -> Result<(), foca::Error> {
        self.foca.gossip(&mut self.wanted)
    }

    pub(super) fn leave(&mut self) -> Result<(), foca::Error> {
        self.foca.leave_cluster(&mut self.wanted)
    }

    /// Goes on in a life after `epoch`.
    pub(super) fn renew_after(&mut self, epoch: u64) -> Result<bool, foca::Error> {
        let Some(identity) = self.identity().after(epoch) else { return Ok(false) };
        self.foca.change_identity(identity, &mut self.wanted).map(|()| true)
    }

    /// Takes the outstanding probe for answered.
    ///
    /// Foca has no word for "never mind", but it takes an answer: one of the
    /// incarnation 0, which says nothing new of the other.
    pub(super) fn excuse_outstanding(&mut self) -> Result<(), foca::Error> {
        let Some((from, number)) = self.outstanding.clone() else { return Ok(()) };
        if !self.is_present(&from) {
            return Ok(());
        }
        let answer = Header {
            src: from,
            src_incarnation: Incarnation::default(),
            dst: self.identity().clone(),
            message: Message::Ack(number),
        };
        let bytes = encode(&answer, &[])?;
        self.foca.handle_data(&bytes, &mut self.wanted)
    }

    /// Suspects a node, and passes judgement after `suspicion` unless it objects.
    pub(super) fn suspect(
        &mut self,
        identity: &Identity,
        suspicion: Duration,
    ) -> Result<(), foca::Error> {
        let Some(known) = self.at_address_of(identity).filter(|known| known.id() == identity)
        else {
            return Ok(());
        };
        let incarnation = known.incarnation();
        let suspect = FocaMember::new(identity.clone(), incarnation, State::Suspect);
        self.foca.apply_many(std::iter::once(suspect.clone()), true, &mut self.wanted)?;
        let token = self.token;
        let judgement =
            foca::Timer::ChangeSuspectToDown { member_id: identity.clone(), incarnation, token };
        self.wanted.timers.push((suspicion, judgement));
        self.challenge(suspect)
    }

    /// Tells those that are suspect, at most `most` of them, so that they can object.
    pub(super) fn challenge_suspects(&mut self, most: usize) -> Result<(), foca::Error> {
        let suspect = |member: &&FocaMember| member.state() == State::Suspect;
        let suspects: Vec<_> = self.known().filter(suspect).take(most).cloned().collect();
        suspects.into_iter().try_for_each(|suspect| self.challenge(suspect))
    }

    /// Tells a node that it is suspect, together with a question that it can answer.
    fn challenge(&mut self, suspect: FocaMember) -> Result<(), foca::Error> {
        let number = self.spare_number();
        self.send(suspect.id().clone(), Message::Ping(number), &[suspect])
    }

    /// Asks a node whether it lives, beside foca's own turn, directly and through
    /// `helpers`.
    pub(super) fn probe(
        &mut self,
        target: &Identity,
        helpers: &[Identity],
    ) -> Result<(), foca::Error> {
        let probe_number = self.spare_number();
        self.send(target.clone(), Message::Ping(probe_number), &[])?;
        for helper in helpers {
            let ask = Message::PingReq { target: target.clone(), probe_number };
            self.send(helper.clone(), ask, &[])?;
        }
        Ok(())
    }

    /// A number that foca's own probes don't have now or for the next 127 of them, so
    /// that an answer to a probe of ours isn't taken for one to foca's.
    fn spare_number(&self) -> ProbeNumber {
        let last = self.outstanding.as_ref().map_or(0, |(_, number)| *number);
        last.wrapping_add(ProbeNumber::MAX / 2 + 1)
    }

    fn send(
        &mut self,
        to: Identity,
        message: Message<Identity>,
        news: &[FocaMember],
    ) -> Result<(), foca::Error> {
        let header = Header {
            src: self.identity().clone(),
            src_incarnation: self.incarnation,
            dst: to.clone(),
            message,
        };
        let bytes = encode(&header, news)?;
        self.ours.push((to, bytes));
        Ok(())
    }
}

/// Reads a packet of foca's as foca does; none if foca would refuse it, or if there is
/// anything in it that we don't send.
pub(super) fn read(mut body: &[u8]) -> Option<Content> {
    let header = PostcardCodec.decode_header(&mut body).ok()?;
    if header.message == Message::Broadcast {
        return None;
    }
    let mut news = Vec::new();
    if !body.is_empty() {
        let (count, rest) = body.split_first_chunk()?;
        body = rest;
        for _ in 0..u16::from_be_bytes(*count) {
            news.push(PostcardCodec.decode_member(&mut body).ok()?);
        }
    }
    body.is_empty().then_some(Content { header, news })
}

fn encode(header: &Header<Identity>, news: &[FocaMember]) -> Result<Vec<u8>, foca::Error> {
    let mut bytes = Vec::new();
    let refused = |error: postcard::Error| foca::Error::Encode(Box::new(error));
    PostcardCodec.encode_header(header, &mut bytes).map_err(refused)?;
    if let Ok(count @ 1..) = u16::try_from(news.len()) {
        bytes.extend_from_slice(&count.to_be_bytes());
        for member in news {
            PostcardCodec.encode_member(member, &mut bytes).map_err(refused)?;
        }
    }
    Ok(bytes)
}

impl Runtime<Identity> for Wanted {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        // What changed among the members is seen by comparing, suspicion too, of which
        // foca says nothing.
        if notification == Notification::Defunct {
            self.defunct = true;
        }
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: foca::Timer<Identity>, after: Duration) {
        self.timers.push((after, event));
    }
}
