//! Random acts by several people on both sides, random faults, crashes, rules that are swapped, clocks that are wrong: and
//! at rest the oracle.
//!
//! An episode is a list of acts made from a seed and told on a stage of its own. One that fails is shrunk: told again with
//! fewer and fewer acts, as long as it still fails. Nothing here asks the host what it believes to be true: both sides are
//! read over their own protocols and held against each other and against what people typed.

mod act;
mod people;
mod stage;
mod truth;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

pub use act::{Act, Fault};
use stage::Stage;

use crate::guests;

/// Acts between two looks at the truth.
const ROUND: usize = 24;
/// How often a failing episode is told again to find a shorter one.
const SHRINK_TRIES: usize = 60;

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

/// An episode that does not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    pub why: String,
    /// The fewest acts found that break it.
    pub acts: Vec<Act>,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "storm --seed {}: {}", self.seed, self.why)?;
        writeln!(f, "the fewest acts that break it:")?;
        self.acts.iter().enumerate().try_for_each(|(at, act)| writeln!(f, "  {at:3} {act:?}"))
    }
}

/// The acts of an episode.
pub fn acts(seed: u64, steps: usize) -> Vec<Act> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..steps).map(|_| Act::random(&mut random)).collect()
}

/// Tells episodes of `per_episode` steps until `steps` are told. `progress` hears of each.
///
/// # Errors
/// The first episode that breaks, shrunk.
pub async fn run(
    seed: u64,
    steps: usize,
    per_episode: usize,
    mut progress: impl FnMut(&Told),
) -> Result<Told, Box<Broken>> {
    let mut told = Told::default();
    while told.steps < steps {
        let seed = seed.wrapping_add(told.episodes as u64);
        let acts = acts(seed, per_episode.min(steps - told.steps));
        match tell(&acts).await {
            Ok(episode) => {
                told.steps += episode.steps;
                told.episodes += 1;
                told.rests += episode.rests;
                told.pairs += episode.pairs;
                told.mails += episode.mails;
                progress(&told);
            }
            Err(why) => {
                let (acts, why) = shrink(acts, why).await;
                return Err(Box::new(Broken { seed, why, acts }));
            }
        }
    }
    Ok(told)
}

/// Tells one episode.
///
/// # Errors
/// What does not hold, in words.
pub async fn tell(acts: &[Act]) -> Result<Told, String> {
    let mut stage = Stage::set(guests::engine()).await?;
    let mut told = Told { episodes: 1, ..Told::default() };
    for round in acts.chunks(ROUND) {
        for act in round {
            stage.play(act).await.map_err(|why| format!("at {act:?}: {why}"))?;
            told.steps += 1;
        }
        stage.rest().await?;
        told.rests += 1;
    }
    told.pairs = stage.pairs();
    told.mails = stage.mails().await;
    stage.strike().await;
    Ok(told)
}

/// Takes acts away, half of them at first and single ones at last, while what is left still breaks.
async fn shrink(mut acts: Vec<Act>, mut why: String) -> (Vec<Act>, String) {
    let (mut part, mut tries) = (acts.len() / 2, 0);
    while part > 0 && tries < SHRINK_TRIES {
        let mut at = 0;
        while at < acts.len() && tries < SHRINK_TRIES {
            let mut fewer = acts.clone();
            fewer.drain(at..(at + part).min(acts.len()));
            tries += 1;
            match tell(&fewer).await {
                Err(still) => (acts, why) = (fewer, still),
                Ok(_) => at += part,
            }
        }
        part /= 2;
    }
    (acts, why)
}

/// One of these.
fn one<'a, T>(random: &mut impl Rng, of: &'a [T]) -> &'a T {
    &of[random.random_range(0..of.len())]
}
