//! The storm: random acts of four people, faults, crashes, swapped rules, wrong clocks; at every rest both sides are the same,
//! nothing is lost and nothing doubled.

use daybridge_tests::host::Reach;
use daybridge_tests::storm::{self, Course};

/// Each run tells the same acts.
const SEED: u64 = 105;
/// Acts of one episode: enough for a dozen appointments.
const EPISODE: usize = 60;
/// Steps that are told within half a minute; where nobody waits, more.
const STEPS: usize = 120;
const STEPS_IN_CI: usize = 720;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s80_random_operations_and_faults_hold_at_rest() {
    let steps = if std::env::var_os("CI").is_some() { STEPS_IN_CI } else { STEPS };
    let course = Course { seed: SEED, steps, per_episode: EPISODE, at_a_time: 2, reach: Reach::Ews };
    let told = storm::run(course, |_| {}).await.unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(told.steps, steps);
    assert!(told.pairs > 0 && told.mails > 0, "nothing happened: {told:?}");
    println!("{told:?}");
}
