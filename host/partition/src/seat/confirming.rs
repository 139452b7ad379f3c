//! Answers that wait until it is sure that this node still leads.
//!
//! What an engine says of an entity's state is out of date if another node leads
//! the partition by now. So such an answer is held until a quorum has confirmed,
//! after it was made, that this node leads. One question is under way at a time;
//! what is answered meanwhile waits for the next.

use crate::Answer;

/// The answers of one partition that wait, and for whom.
pub(super) struct Confirming<W> {
    /// Those that the question under way is about.
    asked: Vec<(W, Answer)>,
    /// Those that came since.
    next: Vec<(W, Answer)>,
    /// Which question is under way, if one is; they are numbered.
    under_way: Option<u64>,
    questions: u64,
}

impl<W> Default for Confirming<W> {
    fn default() -> Self {
        Self { asked: Vec::new(), next: Vec::new(), under_way: None, questions: 0 }
    }
}

impl<W> Confirming<W> {
    /// Holds an answer.
    pub(super) fn hold(&mut self, waiter: W, answer: Answer) {
        self.next.push((waiter, answer));
    }

    /// The number of the next question, if one is to be asked now.
    pub(super) fn ask(&mut self) -> Option<u64> {
        if self.under_way.is_some() || self.next.is_empty() {
            return None;
        }
        self.asked = std::mem::take(&mut self.next);
        self.questions += 1;
        self.under_way = Some(self.questions);
        self.under_way
    }

    /// A question is answered: this node leads, or there is no telling. What may be
    /// said now, and to whom.
    pub(super) fn answered(
        &mut self,
        question: u64,
        leads: bool,
        why_not: &str,
    ) -> Vec<(W, Answer)> {
        if self.under_way != Some(question) {
            return Vec::new();
        }
        self.under_way = None;
        let mut said = std::mem::take(&mut self.asked);
        if !leads {
            for (_, answer) in &mut said {
                *answer = Answer::Unavailable(why_not.to_owned());
            }
        }
        said
    }

    /// This node doesn't lead any more: nothing that waits may be said. Who is told
    /// so.
    pub(super) fn give_up(&mut self, why_not: &str) -> Vec<(W, Answer)> {
        self.under_way = None;
        let mut said = std::mem::take(&mut self.asked);
        said.append(&mut self.next);
        for (_, answer) in &mut said {
            *answer = Answer::Unavailable(why_not.to_owned());
        }
        said
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.next.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: &str = "another leads";

    fn seen(nth: u8) -> Answer {
        Answer::QueryReply(vec![nth])
    }

    fn no() -> Answer {
        Answer::Unavailable(NO.into())
    }

    #[test]
    fn what_comes_while_it_is_asked_waits_for_the_next_question() {
        let mut confirming = Confirming::default();
        confirming.hold("first", seen(1));
        assert_eq!(confirming.ask(), Some(1));
        confirming.hold("second", seen(2));
        assert_eq!(confirming.ask(), None, "one at a time");
        assert_eq!(confirming.answered(1, true, NO), [("first", seen(1))]);
        assert_eq!(confirming.ask(), Some(2));
        assert_eq!(confirming.answered(1, true, NO), [], "that was another question");
        assert_eq!(confirming.answered(2, false, NO), [("second", no())]);
        assert!(confirming.is_empty());
    }

    #[test]
    fn nothing_is_said_by_one_that_does_not_lead_any_more() {
        let mut confirming = Confirming::default();
        confirming.hold("first", seen(1));
        assert_eq!(confirming.ask(), Some(1));
        confirming.hold("second", seen(2));
        assert_eq!(confirming.give_up(NO), [("first", no()), ("second", no())]);
        assert_eq!(confirming.answered(1, true, NO), []);
        assert_eq!(confirming.ask(), None);
    }
}
