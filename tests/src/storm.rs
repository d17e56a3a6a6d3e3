//! Random acts by several people on both sides, random faults, crashes, rules that are swapped, clocks that are wrong: and
//! at rest the oracle.
//!
//! An episode is a list of acts made from a seed and told on a stage of its own. One that fails is shrunk: told again with
//! fewer and fewer acts, as long as it still fails. Nothing here asks the host what it believes to be true: both sides are
//! read over their own protocols and held against each other and against what people typed.

mod act;
mod people;
mod play;
mod series;
mod stage;
mod truth;

use std::time::Duration;

use daybridge::plugin::Engine;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

pub use act::{Act, Fault};
use stage::Stage;

use crate::guests;
use crate::host::Reach;

/// Acts between two looks at the truth.
const ROUND: usize = 40;
/// How often a failing episode is told again to find a shorter one.
const SHRINK_TRIES: usize = 60;
/// The longest an act or a coming to rest may take: far above what any takes on a busy machine.
const STEP_LIMIT: Duration = Duration::from_secs(120);

/// What is to be told.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Of the first episode; the next one has the next seed.
    pub seed: u64,
    pub steps: usize,
    pub per_episode: usize,
    /// Episodes told at the same time.
    pub at_a_time: usize,
    /// How the host reaches Exchange.
    pub reach: Reach,
    /// With series, too.
    pub series: bool,
}

/// What was told, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub steps: usize,
    pub episodes: usize,
    /// Looks at the truth.
    pub rests: usize,
    pub pairs: usize,
    pub mails: u64,
}

/// What is heard while a storm is told.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// An episode held; all that was told so far.
    Held { seed: u64, told: &'a Told },
    /// An episode does not hold and is told again with fewer acts.
    Broken { seed: u64, why: &'a str },
    /// It was told again: this many times by now, and so many acts are left.
    Shrunk { tries: usize, acts: usize },
}

/// An episode that does not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    pub reach: Reach,
    pub why: String,
    /// The fewest acts found that break it.
    pub acts: Vec<Act>,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "storm --exchange {} --seed {}: {}", self.reach, self.seed, self.why)?;
        writeln!(f, "the fewest acts that break it:")?;
        self.acts.iter().enumerate().try_for_each(|(at, act)| writeln!(f, "  {at:3} {act:?}"))
    }
}

/// How an episode ended that does not hold.
struct Failure {
    why: String,
    /// The acts that were told by then.
    told: usize,
}

/// The acts of an episode.
pub fn acts(seed: u64, steps: usize, series: bool) -> Vec<Act> {
    let mut random = SmallRng::seed_from_u64(seed);
    let told = |act: &Act| series || !act.is_of_series();
    std::iter::repeat_with(|| Act::random(&mut random)).filter(told).take(steps).collect()
}

/// Tells episodes until all steps are told.
///
/// # Errors
/// The first episode that breaks, shrunk.
pub async fn run(course: Course, mut news: impl FnMut(News<'_>)) -> Result<Told, Box<Broken>> {
    let engine = guests::engine();
    let per_episode = course.per_episode.max(1);
    let mut begun = (0..course.steps.div_ceil(per_episode)).map(|at| {
        let steps = per_episode.min(course.steps - at * per_episode);
        let seed = course.seed.wrapping_add(at as u64);
        (seed, acts(seed, steps, course.series))
    });
    let mut running = JoinSet::new();
    let mut told = Told::default();
    loop {
        for (seed, acts) in begun.by_ref().take(course.at_a_time.max(1) - running.len()) {
            let engine = engine.clone();
            let reach = course.reach;
            running.spawn(async move { (seed, tell(engine, reach, &acts).await, acts) });
        }
        match running.join_next().await {
            None => return Ok(told),
            Some(Ok((seed, Ok(episode), _))) => {
                told.steps += episode.steps;
                told.episodes += 1;
                told.rests += episode.rests;
                told.pairs += episode.pairs;
                told.mails += episode.mails;
                news(News::Held { seed, told: &told });
            }
            Some(Ok((seed, Err(failure), acts))) => {
                running.shutdown().await;
                news(News::Broken { seed, why: &failure.why });
                let (acts, why) = shrink(&engine, course.reach, acts, failure, &mut news).await;
                return Err(Box::new(Broken { seed, reach: course.reach, why, acts }));
            }
            Some(Err(error)) => {
                let why = format!("an episode ended by itself: {error}");
                return Err(Box::new(Broken { seed: course.seed, reach: course.reach, why, acts: Vec::new() }));
            }
        }
    }
}

/// Tells one episode.
async fn tell(engine: Engine, reach: Reach, acts: &[Act]) -> Result<Told, Failure> {
    let mut told = Told { episodes: 1, ..Told::default() };
    let mut stage = Stage::set(engine, reach).await.map_err(|why| Failure { why, told: 0 })?;
    for round in acts.chunks(ROUND) {
        for act in round {
            told.steps += 1;
            let failed = |why| Failure { why: format!("at {act:?}: {why}"), told: told.steps };
            within_limit(stage.play(act)).await.map_err(failed)?;
        }
        within_limit(stage.rest()).await.map_err(|why| Failure { why, told: told.steps })?;
        told.rests += 1;
    }
    told.pairs = stage.pairs();
    told.mails = stage.mails().await;
    stage.strike().await;
    Ok(told)
}

async fn within_limit(step: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = |_| Err(format!("no end within {STEP_LIMIT:?}"));
    tokio::time::timeout(STEP_LIMIT, step).await.unwrap_or_else(late)
}

/// Takes acts away, half of them at first and single ones at last, while what is left still breaks.
async fn shrink(
    engine: &Engine,
    reach: Reach,
    mut acts: Vec<Act>,
    failure: Failure,
    news: &mut impl FnMut(News<'_>),
) -> (Vec<Act>, String) {
    let mut why = failure.why;
    // What comes after it broke has no part in it.
    acts.truncate(failure.told);
    let (mut part, mut tries) = (acts.len() / 2, 0);
    while part > 0 && tries < SHRINK_TRIES {
        let mut at = 0;
        while at < acts.len() && tries < SHRINK_TRIES {
            let mut fewer = acts.clone();
            fewer.drain(at..(at + part).min(acts.len()));
            tries += 1;
            match tell(engine.clone(), reach, &fewer).await {
                Err(failure) => {
                    fewer.truncate(failure.told);
                    (acts, why) = (fewer, failure.why);
                }
                Ok(_) => at += part,
            }
            news(News::Shrunk { tries, acts: acts.len() });
        }
        part /= 2;
    }
    (acts, why)
}

/// One of these.
fn one<'a, T>(random: &mut impl Rng, of: &'a [T]) -> &'a T {
    &of[random.random_range(0..of.len())]
}
