//! The storm: random acts of four people, faults, crashes, swapped rules, wrong clocks; at every rest both sides are the same,
//! nothing is lost and nothing doubled.

use daybridge_tests::host::Reach;
use daybridge_tests::storm::{self, Course};

/// Each run tells the same acts.
const SEED: u64 = 206;
/// Acts of one episode: enough for half a dozen appointments.
const EPISODE: usize = 40;
/// Steps that are told within seconds; `tests/run` tells a hundred thousand where nobody waits.
const STEPS: usize = 120;

async fn tell(reach: Reach, series: bool, seed: u64, part: usize) {
    let steps = STEPS / part;
    let course = Course { seed, steps, per_episode: EPISODE, at_a_time: 2, reach, series };
    let told = storm::run(course, |_| {}).await.unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(told.steps, steps);
    assert!(told.pairs > 0 && told.mails > 0, "nothing happened: {told:?}");
    println!("{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s80_random_operations_and_faults_hold_at_rest() {
    tell(Reach::Ews, false, SEED, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s80_random_operations_and_faults_hold_at_rest_by_graph() {
    tell(Reach::Graph, false, 200, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s80_random_operations_and_faults_hold_at_rest_in_a_hybrid() {
    tell(Reach::Hybrid, false, SEED, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s80_random_operations_on_series_hold_at_rest() {
    tell(Reach::Ews, true, 1, 3).await;
}
