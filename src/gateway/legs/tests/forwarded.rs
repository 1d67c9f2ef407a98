//! Forwarded connections: when the kernel is asked, and what is told of its answers.

use super::*;

#[test]
fn the_kernel_keeps_an_unused_pinhole_a_little_longer_than_its_owner_and_is_asked_again_only_while_it_is_wanted()
 {
    let mut scene = Scene::new(0);
    assert_eq!(scene.script.state().lasts, Some(TTL + MARGIN));
    assert!(scene.pass(TTL).is_none());
    assert!(scene.asked().is_empty(), "the pinhole could end by itself");
    // The transfer command has come, and the 1xx takes its time.
    scene.start();
    assert!(scene.pass(MARGIN - Duration::from_millis(1)).is_none());
    assert_eq!(scene.asked(), ["renew"], "the kernel's entry would be gone");
    assert_eq!(scene.script.state().lasts, Some(TTL + MARGIN));
    assert!(scene.pass(4 * TTL).is_none());
    assert_eq!(scene.asked().len(), 3);
    scene.dialled();
    assert!(scene.pass(LIMITS.stall / 8).is_none());
    assert!(scene.asked().is_empty());
}

#[test]
fn a_small_file_costs_one_question_besides_its_opening() {
    let mut scene = Scene::new(1);
    scene.start();
    scene.dialled();
    assert_eq!(scene.gauges.transfers(), 1);
    scene.carries(9, FlowState::Ending);
    let told = scene.linger();
    assert_eq!(scene.asked(), ["settle"]);
    let [Input::DataFinished { usage, .. }] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(usage.outcome, Outcome::Complete);
    let wire = usage.wire.unwrap();
    assert_eq!((wire.bytes_up, wire.bytes_down), (52 * 9, 1500 * 9));
    assert!(scene.legs.is_empty());
    scene.with(|legs, _, _| legs.close(ID));
    assert!(scene.asked().is_empty());
    assert_eq!(scene.gauges.transfers(), 0);
}

#[test]
fn an_answered_connection_is_watched_until_it_ends_and_cut_off_when_it_stands_still() {
    let mut scene = Scene::new(2);
    scene.start();
    scene.dialled();
    assert!(scene.linger().is_empty());
    // Something moves every two seconds.
    for packets in 2..20 {
        assert!(scene.pass(Duration::from_secs(2)).is_none());
        scene.carries(packets, FlowState::Open);
    }
    scene.asked();
    let (after, usage) = usage_of(scene.pass(Duration::from_secs(30)));
    assert!((10..12).contains(&after.as_secs()), "{after:?}");
    assert_eq!(usage.outcome, Outcome::LingerOver);
    let asked = scene.asked();
    assert_eq!(asked[asked.len() - 2..], ["kill", "close"]);

    let mut scene = Scene::new(3);
    scene.start();
    scene.dialled();
    assert!(scene.linger().is_empty());
    assert!(scene.pass(Duration::from_secs(1)).is_none());
    scene.carries(9, FlowState::Over);
    let (after, usage) = usage_of(scene.pass(Duration::from_secs(1)));
    assert!(after <= Duration::from_millis(100), "{after:?}");
    assert_eq!(usage.outcome, Outcome::Complete);
    assert!(!scene.asked().contains(&"kill"));
}

#[test]
fn a_connection_that_stands_still_is_cut_off_after_the_stall_time_and_one_that_moves_is_not() {
    let mut scene = Scene::new(4);
    scene.start();
    scene.dialled();
    for packets in 2..8 {
        assert!(scene.pass(LIMITS.stall / 2).is_none());
        scene.carries(packets, FlowState::Open);
    }
    let asked = scene.asked();
    assert_eq!(
        asked,
        vec!["usage"; 12],
        "four looks in the time of a stall"
    );
    let (after, usage) = usage_of(scene.pass(2 * LIMITS.stall));
    assert!(
        after >= LIMITS.stall && after <= LIMITS.stall * 5 / 4,
        "{after:?}"
    );
    assert_eq!(usage.outcome, Outcome::Stalled);
    let asked = scene.asked();
    assert_eq!(asked[asked.len() - 2..], ["kill", "close"]);
}

#[test]
fn probes_of_a_receiver_that_takes_nothing_are_no_movement() {
    let mut scene = Scene::new(18);
    scene.start();
    scene.dialled();
    scene.carries(10, FlowState::Open);
    let probed = |scene: &Scene, probes: u64| {
        let mut state = scene.script.state();
        let usage = state.usage.as_mut().unwrap();
        usage.wire_bytes_to_peer = 1500 * 10 + 52 * probes;
        usage.packets_to_peer = 10 + probes;
        usage.wire_bytes_from_peer += 64;
        usage.packets_from_peer += 1;
    };
    assert!(scene.pass(LIMITS.stall / 4).is_none());
    let mut waited = Duration::ZERO;
    let outcome = loop {
        probed(&scene, waited.as_secs() / 10);
        match scene.pass(Duration::from_secs(30)) {
            None => waited += Duration::from_secs(30),
            told => break usage_of(told).1.outcome,
        }
    };
    assert_eq!(outcome, Outcome::Stalled);
    assert!(waited <= LIMITS.stall * 5 / 4, "{waited:?}");
}

#[test]
fn an_end_that_nobody_announced_is_found() {
    let mut scene = Scene::new(5);
    scene.start();
    scene.dialled();
    scene.carries(5, FlowState::Over);
    let (_, usage) = usage_of(scene.pass(LIMITS.stall));
    assert_eq!(usage.outcome, Outcome::Complete);
    assert!(usage.wire.is_some());
}

#[test]
fn a_used_pinhole_that_is_not_wanted_any_more_is_killed() {
    let mut scene = Scene::new(6);
    scene.dialled();
    scene.asked();
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["kill", "close"]);
    assert!(scene.legs.is_empty());
}

#[test]
fn of_a_time_that_is_over_and_a_connection_that_came_one_wins() {
    // Nobody came.
    let mut scene = Scene::new(7);
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["settle"]);
    // Somebody came, and we have not heard of it: the time wins, so the connection ends.
    let mut scene = Scene::new(8);
    scene.carries(1, FlowState::Open);
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["settle", "kill", "close"]);
}

#[test]
fn a_use_that_was_not_told_is_told_before_the_account() {
    let mut scene = Scene::new(9);
    scene.start();
    scene.carries(3, FlowState::Over);
    let told = scene.linger();
    let [
        Input::PinholeUsed { id: ID, peer },
        Input::DataFinished { usage, .. },
    ] = told[..]
    else {
        panic!("not told: {told:?}");
    };
    assert_eq!(peer, PEER);
    assert!(usage.wire.is_some());

    // The same, when the answer came before the connection began to end.
    let mut scene = Scene::new(10);
    scene.start();
    scene.carries(3, FlowState::Open);
    assert!(scene.linger().is_empty());
    scene.carries(5, FlowState::Ending);
    let (_, fact) = scene.pass(Duration::from_secs(1)).unwrap();
    assert!(matches!(fact, Input::PinholeUsed { .. }), "{fact:?}");
    let (_, usage) = usage_of(scene.pass(Duration::from_secs(1)));
    assert_eq!(usage.outcome, Outcome::Complete);
}

#[test]
fn an_answer_without_any_connection_ends_at_once_with_an_account_of_nothing() {
    let mut scene = Scene::new(11);
    scene.start();
    let told = scene.linger();
    let [Input::DataFinished { usage, .. }] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(usage.wire.unwrap().packets_down, 0);
    assert_eq!(scene.asked(), ["settle"]);
}

#[test]
fn abort_kills_and_drop_kills_only_what_still_runs() {
    let mut scene = Scene::new(12);
    scene.start();
    scene.dialled();
    let aborted = scene.end(Manner::Abort).usage.unwrap();
    assert_eq!(aborted.outcome, Outcome::Aborted);
    assert_eq!(scene.asked(), ["kill", "close"]);
    for (state, asked) in [
        (FlowState::Ending, &["settle"][..]),
        (FlowState::Open, &["settle", "kill", "close"]),
    ] {
        let mut scene = Scene::new(13);
        scene.start();
        scene.dialled();
        scene.carries(2, state);
        let dropped = scene.end(Manner::Drop).usage.unwrap();
        assert_eq!(dropped.outcome, Outcome::Aborted);
        assert_eq!(scene.asked(), asked);
    }
}

#[test]
fn a_firewall_that_does_not_answer_leaves_running_connections_alone_and_sessions_end_without_their_account()
 {
    let mut scene = Scene::new(14);
    scene.start();
    scene.dialled();
    scene.script.state().dead = true;
    assert!(
        scene.pass(10 * LIMITS.stall).is_none(),
        "it was guessed to stand still"
    );
    assert!(!scene.asked().contains(&"kill"));
    let told = scene.linger();
    let [Input::DataFinished { usage, .. }] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((usage.outcome, usage.wire), (Outcome::Complete, None));
    assert!(scene.legs.is_empty());
}

#[test]
fn a_pinhole_that_is_taken_back_listens_here_at_the_same_port() {
    let mut scene = Scene::new(15);
    scene.start();
    let taken = scene.with(|legs, ground, _| legs.relay_instead(ground, ID));
    assert_eq!(taken, Some(Ok(())));
    assert_eq!(scene.asked(), ["settle", "open"]);
    let leg = &scene.legs.transfers[0].legs.client;
    assert!(matches!(
        leg,
        Leg::Awaiting {
            renew_at: Some(_),
            ..
        }
    ));
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["close"]);

    // Not when its connection has come.
    let mut scene = Scene::new(16);
    scene.start();
    scene.carries(1, FlowState::Open);
    let taken = scene.with(|legs, ground, _| legs.relay_instead(ground, ID));
    assert_eq!(taken, None);
    scene.dialled();
    assert_eq!(scene.asked(), ["settle"]);
    // Nor when the firewall does not answer.
    let mut scene = Scene::new(17);
    scene.start();
    scene.script.state().dead = true;
    let taken = scene.with(|legs, ground, _| legs.relay_instead(ground, ID));
    assert_eq!(taken, Some(Err(RefusalReason::Kernel)));
}

#[test]
fn what_is_sent_again_and_again_is_no_movement() {
    let mut scene = Scene::new(20);
    scene.start();
    scene.dialled();
    scene.carries(9, FlowState::Open);
    assert!(scene.pass(LIMITS.stall / 2).is_none());
    for again in 1..4 {
        let mut state = scene.script.state();
        state.usage = state.usage.map(|usage| FlowUsage {
            wire_bytes_to_peer: usage.wire_bytes_to_peer + 1500 * again,
            packets_to_peer: usage.packets_to_peer + again,
            ..usage
        });
        drop(state);
        let passed = scene.pass(LIMITS.stall / 4);
        if let Some((_, Input::DataFinished { usage, .. })) = passed {
            assert_eq!(usage.outcome, Outcome::Stalled);
            return;
        }
    }
    panic!("it is not cut off");
}

#[test]
fn a_connection_that_the_kernel_does_not_count_is_not_cut_off() {
    let mut scene = Scene::new(21);
    scene.start();
    scene.dialled();
    scene.carries(0, FlowState::Open);
    assert!(scene.pass(3 * LIMITS.stall).is_none());
    scene.carries(0, FlowState::Over);
    let (_, usage) = usage_of(scene.pass(LIMITS.stall));
    assert_eq!(usage.outcome, Outcome::Complete);
}

#[test]
fn an_opening_that_is_refused_gives_its_port_back_and_is_told() {
    let mut scene = Scene::opening(22);
    scene.script.state().dead = true;
    scene.ask();
    let fact = scene.with(|legs, ground, cx| legs.poll_opening(cx, ground));
    let refused = Some(Input::PinholeRefused {
        id: ID,
        why: RefusalReason::Kernel,
    });
    assert_eq!(format!("{fact:?}"), format!("{refused:?}"));
    assert!(scene.legs.is_empty() && !scene.legs.is_opening());
}

#[test]
fn an_opening_that_nobody_wants_any_more_is_not_asked_for_or_shut_at_once() {
    let mut scene = Scene::opening(23);
    scene.with(|legs, _, _| legs.close(ID));
    scene.ask();
    assert!(scene.asked().is_empty() && scene.legs.is_empty());
    // Its answer is here, and was not taken yet.
    let mut scene = Scene::opening(24);
    scene.ask();
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["open", "close"]);
    assert!(scene.legs.is_empty());
    // The session itself is dropped.
    let mut scene = Scene::opening(28);
    scene.ask();
    scene.legs = DataLegs::default();
    assert_eq!(scene.asked(), ["open", "close"]);
    let mut scene = Scene::opening(29);
    scene.legs = DataLegs::default();
    scene.ask();
    assert!(scene.asked().is_empty());
}

#[test]
fn a_connection_that_is_being_settled_when_its_session_ends_is_shut_once() {
    // Not asked yet: it is asked now, and not a second time.
    let mut scene = Scene::new(25);
    scene.start();
    scene.dialled();
    scene.carries(9, FlowState::Ending);
    scene.end(Manner::Linger);
    let usage = scene.end(Manner::Drop).usage.unwrap();
    assert!(usage.wire.is_some());
    scene.ask();
    assert_eq!(scene.asked(), ["settle"]);
    // Asked, and the answer was not taken yet: it counts.
    let mut scene = Scene::new(26);
    scene.start();
    scene.dialled();
    scene.carries(9, FlowState::Ending);
    scene.end(Manner::Linger);
    scene.ask();
    let usage = scene.end(Manner::Drop).usage.unwrap();
    assert!(usage.wire.is_some());
    assert_eq!(scene.asked(), ["settle"]);
    // The answer was that it runs: what is dropped then is ended.
    let mut scene = Scene::new(27);
    scene.start();
    scene.dialled();
    scene.end(Manner::Linger);
    scene.ask();
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["settle", "kill", "close"]);
}
