//! Some thousand inputs from one seed: a unit of work for one processor that can be repeated by itself.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::check::{self, Answer};
use crate::corpus;
use crate::mutate::{Mutator, Seed};
use crate::panics;
use crate::targets::{Run, Target};

/// The largest number of inputs in a chunk.
pub const SIZE: u64 = 10_000;

/// How many inputs with new answers are kept for mutation, and the size limit of each in bytes.
const KEPT: usize = 2_000;
const KEPT_LENGTH: usize = 64 << 10;

/// Inputs larger than this, in bytes, have no time limit.
const LARGE: usize = 1 << 20;

/// The origin of inputs, from which they can be made again.
#[derive(Clone, Copy)]
pub struct Chunk {
    /// The target that parses the inputs.
    pub target: &'static Target,
    /// The seed of the campaign.
    pub seed: u64,
    /// The index of the chunk within its target.
    pub number: u64,
    /// The number of inputs to run.
    pub inputs: u64,
}

/// A violation.
#[derive(Clone, Debug)]
pub struct Finding {
    /// `TARGET:SEED:CHUNK:INPUT`, or the file in the corpus.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// The input that caused it.
    pub input: Vec<u8>,
}

impl Finding {
    /// Findings that begin with the same text, apart from figures and values, are the same defect.
    pub fn key(&self) -> String {
        let begin: String = self.problem.chars().take(60).collect();
        check::shape_of(&begin)
    }
}

/// The results for a number of inputs.
#[derive(Default)]
pub struct Totals {
    /// The number of inputs.
    pub inputs: u64,
    /// The number of accepted inputs.
    pub accepted: u64,
    /// The number of refused inputs.
    pub refused: u64,
    /// The answers that differ in more than figures and quoted values, and how often each of them occurred.
    pub answers: BTreeMap<String, u64>,
    /// The slowest input: its processor time, its origin, and the input itself.
    pub slowest: (Duration, String, Vec<u8>),
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Totals {
    /// Adds the results of another chunk.
    pub fn add(&mut self, other: Self) {
        self.inputs += other.inputs;
        self.accepted += other.accepted;
        self.refused += other.refused;
        for (answer, times) in other.answers {
            *self.answers.entry(answer).or_default() += times;
        }
        self.slowest = std::mem::take(&mut self.slowest).max(other.slowest);
        self.findings.extend(other.findings);
    }
}

/// Runs inputs and collects the results.
pub struct Runner {
    target: &'static Target,
    run: Run,
    /// The most processor time that an input may take.
    limit: Option<Duration>,
    totals: Totals,
}

impl Runner {
    /// Makes a runner for a target; without a limit, the time is only measured.
    pub fn new(target: &'static Target, limit: Option<Duration>) -> Self {
        panics::catch();
        Self { target, run: (target.start)(), limit, totals: Totals::default() }
    }

    /// The results for all inputs so far.
    pub fn totals(self) -> Totals {
        self.totals
    }

    /// Runs one input; returns whether its answer is new.
    pub fn input(&mut self, input: &[u8], at: impl Fn() -> String) -> bool {
        let begin = processor_time();
        let outcome = panics::caught(|| (self.run)(input));
        let time = processor_time().saturating_sub(begin);
        self.totals.inputs += 1;
        if time > self.totals.slowest.0 {
            self.totals.slowest = (time, at(), input.to_owned());
        }
        let (problem, new) = match outcome {
            Err(panic) => {
                // The panic may have left it in any state.
                self.run = (self.target.start)();
                (Some(panic), false)
            }
            Ok(Err(broken)) => (Some(broken), false),
            Ok(Ok(answer)) => {
                match answer {
                    Answer::Accepted(_) => self.totals.accepted += 1,
                    Answer::Refused(_) => self.totals.refused += 1,
                }
                let times = self.totals.answers.entry(check::shape(&answer)).or_default();
                *times += 1;
                let new = *times == 1;
                let problem = check::answer(&answer, input).err();
                (problem.or_else(|| if new { self.another_answer(input, &answer) } else { None }), new)
            }
        };
        let slow = || self.limit.is_some_and(|limit| time > limit && input.len() <= LARGE);
        let problem = problem.or_else(|| slow().then(|| format!("slow: {time:?} for {} bytes", input.len())));
        if let Some(problem) = problem {
            self.totals.findings.push(Finding { at: at(), problem, input: input.to_owned() });
        }
        new
    }

    /// Reports an input that has a different answer the second time. The answers determine which inputs are kept
    /// for mutation, and therefore all further inputs.
    fn another_answer(&mut self, input: &[u8], first: &Answer) -> Option<String> {
        let second = panics::caught(|| (self.run)(input)).unwrap_or_else(Err);
        if second.as_ref() == Ok(first) {
            return None;
        }
        Some(format!("answered differently: first {first:?}, then {second:?}"))
    }

    /// Runs the whole corpus.
    pub fn corpus(&mut self) {
        for (name, input) in corpus::load(self.target.name) {
            self.input(&input, || format!("corpus/{}/{name}", self.target.name));
        }
    }
}

impl Chunk {
    /// Runs the inputs; `before` is called with each input and its number before it is run.
    pub fn run(&self, limit: Option<Duration>, before: &mut dyn FnMut(u64, &[u8])) -> Totals {
        let new = |bytes| Seed::new(self.target.format, bytes);
        let mut pool: Vec<Seed> = corpus::load(self.target.name).into_iter().map(|(_, b)| new(b)).collect();
        let kept = pool.len();
        let mut mutator = Mutator::new(self.rng_seed(), &pool);
        let mut runner = Runner::new(self.target, limit);
        for number in 0..self.inputs {
            let input = mutator.next(&pool, kept);
            before(number, &input);
            let at = || format!("{}:{}:{}:{number}", self.target.name, self.seed, self.number);
            let answered_anew = runner.input(&input, at);
            if answered_anew && pool.len() < KEPT && input.len() <= KEPT_LENGTH {
                pool.push(new(input));
            }
        }
        runner.totals()
    }

    /// It is the same on every machine: `DefaultHasher::new` has no random key.
    fn rng_seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.target.name, self.seed, self.number).hash(&mut hasher);
        hasher.finish()
    }
}

/// The processor time of this thread, which does not depend on other load on the machine.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
