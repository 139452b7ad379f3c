//! Answers that wait until it is sure that this node still leads.
//!
//! What an engine says of an entity's state is out of date if another node leads
//! the partition by now. So such an answer is held until a quorum has confirmed,
//! after it was made, that this node leads. One question is under way at a time;
//! what is answered meanwhile waits for the next.

use stead_partition::Answer;
use tokio::sync::oneshot;

type Held = (oneshot::Sender<Answer>, Answer);

/// The answers of one partition that wait.
#[derive(Default)]
pub struct Confirming {
    /// Those that the question under way is about.
    asked: Vec<Held>,
    /// Those that came since.
    next: Vec<Held>,
    /// Which question is under way, if one is; they are numbered.
    under_way: Option<u64>,
    questions: u64,
}

impl Confirming {
    /// Holds an answer.
    pub fn hold(&mut self, sender: oneshot::Sender<Answer>, answer: Answer) {
        self.next.push((sender, answer));
    }

    /// The number of the next question, if one is to be asked now.
    pub fn ask(&mut self) -> Option<u64> {
        if self.under_way.is_some() || self.next.is_empty() {
            return None;
        }
        self.asked = std::mem::take(&mut self.next);
        self.questions += 1;
        self.under_way = Some(self.questions);
        self.under_way
    }

    /// A question is answered: this node leads, or there is no telling.
    pub fn answered(&mut self, question: u64, leads: bool, why_not: impl Fn() -> String) {
        if self.under_way != Some(question) {
            return;
        }
        self.under_way = None;
        for (sender, answer) in self.asked.drain(..) {
            let answer = if leads { answer } else { Answer::Unavailable(why_not()) };
            // Whoever asked may have gone.
            let _ = sender.send(answer);
        }
    }

    /// This node doesn't lead any more: nothing that waits may be said.
    pub fn give_up(&mut self, why_not: impl Fn() -> String) {
        self.under_way = None;
        for (sender, _) in self.asked.drain(..).chain(self.next.drain(..)) {
            let _ = sender.send(Answer::Unavailable(why_not()));
        }
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.next.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(confirming: &mut Confirming) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        confirming.hold(sender, Answer::QueryReply(vec![1]));
        receiver
    }

    fn no() -> String {
        "another leads".into()
    }

    #[test]
    fn what_comes_while_it_is_asked_waits_for_the_next_question() {
        let mut confirming = Confirming::default();
        let mut first = held(&mut confirming);
        assert_eq!(confirming.ask(), Some(1));
        let mut second = held(&mut confirming);
        assert_eq!(confirming.ask(), None, "one at a time");
        confirming.answered(1, true, no);
        assert_eq!(first.try_recv(), Ok(Answer::QueryReply(vec![1])));
        assert!(second.try_recv().is_err(), "it was made after the question");
        assert_eq!(confirming.ask(), Some(2));
        confirming.answered(1, true, no);
        assert!(second.try_recv().is_err(), "that was another question");
        confirming.answered(2, false, no);
        assert_eq!(second.try_recv(), Ok(Answer::Unavailable(no())));
        assert!(confirming.is_empty());
    }

    #[test]
    fn nothing_is_said_by_one_that_does_not_lead_any_more() {
        let mut confirming = Confirming::default();
        let mut first = held(&mut confirming);
        assert_eq!(confirming.ask(), Some(1));
        let mut second = held(&mut confirming);
        confirming.give_up(no);
        confirming.answered(1, true, no);
        assert_eq!(first.try_recv(), Ok(Answer::Unavailable(no())));
        assert_eq!(second.try_recv(), Ok(Answer::Unavailable(no())));
        assert_eq!(confirming.ask(), None);
    }
}
