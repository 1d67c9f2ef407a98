//! What sessions of one worker want of the firewall, and how it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::firewall::Open;
use super::*;
use crate::nft::{Granted, HoleKey, Wish};
use crate::pinhole::wishes::Wishes;

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn what_is_wished_for_in_one_turn_is_asked_with_one_message_and_each_has_its_own_answer() {
    let (wishes, firewall) = (Wishes::default(), Open::with([1, 2]));
    let bells: [Arc<Bell>; 3] = Default::default();
    let wakers = bells.clone().map(Waker::from);
    let asker = Arc::<Bell>::default();
    let asking = Waker::from(Arc::clone(&asker));
    let cx = Context::from_waker(&asking);
    wishes.ask(&firewall, &cx);
    assert!(firewall.asked.lock().unwrap().is_empty());
    let keys = [1, 0, 2].map(HoleKey);
    let mut answers: Vec<_> = keys
        .iter()
        .zip(&wakers)
        .map(|(key, waker)| wishes.wish(Wish::Settle(*key), &Context::from_waker(waker)))
        .collect();
    assert!(asker.rung() >= 1, "nobody asks");
    for (answer, waker) in answers.iter_mut().zip(&wakers) {
        assert!(answer.poll(&Context::from_waker(waker)).is_pending());
    }
    wishes.ask(&firewall, &cx);
    assert_eq!(*firewall.asked.lock().unwrap(), [keys.map(Wish::Settle)]);
    assert_eq!(bells.each_ref().map(|bell| bell.rung()), [1, 1, 1]);
    let told: Vec<bool> = answers
        .iter_mut()
        .map(|answer| match answer.poll(&cx) {
            Poll::Ready(told) => told.is_ok(),
            Poll::Pending => panic!("no answer"),
        })
        .collect();
    assert_eq!(told, [true, false, true]);
    assert!(
        answers
            .iter_mut()
            .all(|answer| answer.poll(&cx).is_pending())
    );
    wishes.ask(&firewall, &cx);
    assert_eq!(firewall.asked.lock().unwrap().len(), 1, "asked twice");
}

#[test]
fn what_nobody_wants_any_more_is_not_asked_for() {
    let (wishes, firewall) = (Wishes::default(), Open::with([3]));
    let cx = Context::from_waker(Waker::noop());
    let wish = |key| wishes.wish(Wish::Settle(HoleKey(key)), &cx);
    drop(wish(1));
    assert!(wish(2).recall().is_none());
    let third = wish(3);
    wishes.ask(&firewall, &cx);
    assert_eq!(
        *firewall.asked.lock().unwrap(),
        [[Wish::Settle(HoleKey(3))]]
    );
    // What is taken back behind its answer comes with it.
    assert!(matches!(third.recall(), Some(Ok(Granted::Settled(_)))));
}

#[test]
fn whoever_is_not_answered_is_told_so() {
    let wishes = Wishes::default();
    let firewall = Open {
        silent: 1,
        ..Open::with([1, 2])
    };
    let cx = Context::from_waker(Waker::noop());
    let mut answers = [1, 2].map(|key| wishes.wish(Wish::Settle(HoleKey(key)), &cx));
    wishes.ask(&firewall, &cx);
    let told = answers.each_mut().map(|answer| answer.poll(&cx));
    assert!(matches!(told, [Poll::Ready(Ok(_)), Poll::Ready(Err(_))]));
}
