//! The examples of the engine for what new users ask for first, as tests.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![allow(dead_code, reason = "the `main` of an example is not called here")]

#[path = "../../engine/examples/item_bag.rs"]
mod item_bag;
#[path = "../../engine/examples/names.rs"]
mod names;
#[path = "../../engine/examples/optional_targets.rs"]
mod optional_targets;
#[path = "../../engine/examples/states.rs"]
mod states;

#[test]
fn item_bag_shows_then_and_now() {
    let potions = "6 x potion of healing".to_owned();
    let expected = [&potions, "1 x anvil", "83 in all", &potions, "3 in all"];
    assert_eq!(item_bag::run().unwrap(), expected);
}

#[test]
fn names_are_read_where_they_were_captured() {
    let expected = ["the northern fleet", "Aurora", "HMS Convoy the Second"];
    assert_eq!(names::run().unwrap(), expected);
}

#[test]
fn states_follow_each_other_and_switch_guns_off() {
    let guns = states::run(60).unwrap();
    assert!(guns[0].0 < guns[1].0 && guns[1].0 < guns[2].0, "{guns:?}");
    assert_eq!(guns[2].0, 60, "it never broke");
}

#[test]
fn targets_that_are_gone_are_none() {
    let (rounds, targets) = optional_targets::run().unwrap();
    assert_eq!((rounds, targets), (vec![2, 1, 0], vec![None, None]));
}
