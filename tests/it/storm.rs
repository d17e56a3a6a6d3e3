//! Random acts by several people, faults, crashes, swapped rules and wrong clocks; the truth at every rest.

use daybridge_tests::storm;

/// Steps told here; `cargo run -p daybridge-tests --bin storm -- --steps N --seed X` tells as many as one likes.
const STEPS: usize = 960;
const EPISODE: usize = 240;

async fn hold(seed: u64) {
    match storm::run(seed, STEPS, EPISODE, |_| {}).await {
        Ok(told) => assert_eq!(told.steps, STEPS),
        Err(broken) => panic!("{broken}"),
    }
}

#[tokio::test]
async fn s80_random_acts_and_faults_hold_at_rest() {
    hold(1).await;
}

#[tokio::test]
async fn s80_other_random_acts_and_faults_hold_at_rest() {
    hold(1001).await;
}
