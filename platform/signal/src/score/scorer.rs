use serde::{Deserialize, Serialize};

use super::order::{greater, lesser, within};
use super::season::{HourTime, Season};
use super::tail::Tail;
use super::tails::Tails;
use super::week::Week;

/// Statistics that look at each reading.
const LOOKS: usize = 6;
/// Readings before the score counts.
const WARM_UP: u64 = 150;
/// Readings until the levels have found their place; the distributions start after them.
const PLACED: u64 = 30;
/// Readings until levels and spreads are trusted enough to limit what one reading does to them.
const SETTLED: u64 = 100;
/// Readings that the distributions remember.
const MEMORY: f64 = 7_000.0;
/// Weight of one reading in the levels, fastest first, and in the baseline.
const LAST_FEW: f64 = 0.3;
const SHORT: f64 = 0.08;
const MIDDLE: f64 = 0.025;
const LONG: f64 = 0.001;
/// Readings after which the share of one reading is less than the least of these weights.
const FEW: u64 = 1_000;
/// Weight of one reading in the average of seasonal surprises, and the most one can bring.
const SEASON_WEIGHT: f64 = 0.08;
const SEASON_SURPRISE_MAX: f64 = 20.0;
const WEEK_WEIGHT: f64 = 0.04;
/// A single jump is the most common kind of noise and counts half.
const JUMP_SHARE: f64 = 0.5;
/// Larger jumps than usual are a weaker sign than a level that has left its place.
const NOISE_SHARE: f64 = 0.5;
/// One reading moves a level by no more than this many spreads, the baseline by a fifth of it. Each
/// further reading out there doubles that twice, so that a glitch is forgotten and a step is not.
const PULL_MAX: f64 = 25.0;
const FAR_MAX: u32 = 31;
const PULL_SHARE_LONG: f64 = 0.2;
/// Spreads are taken to be at least this share of the level.
const SPREAD_MIN: f64 = 1e-6;
/// A silence of this many intervals makes the last few readings say nothing about the next.
const GAP_INTERVALS: f64 = 20.0;
/// Joint surprise that chance reaches two or three times a week at one reading in five minutes, and
/// how much more is needed per e-fold of faster readings. Both are measured on independent noise.
const SURPRISE_WEEKLY: f64 = 9.0;
const SURPRISE_PER_E_FOLD: f64 = 1.6;
const SLOW_INTERVAL_S: f64 = 300.0;
const FAST_INTERVAL_S: f64 = 1e-3;
/// Values are limited to this, far from where sums overflow.
const VALUE_MAX: f64 = 1e100;
/// Largest logarithm of a relative jump.
const LOG_MAX: f64 = 60.0;
/// Mean absolute deviation to standard deviation, for normal noise: √(π/2).
const SIGMA_PER_MAD: f64 = 1.253_314_137_315_5;
/// Half width of the expected band in standard deviations.
const BAND_SIGMAS: f64 = 4.0;

/// What about a reading is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// Far from the last few readings.
    Jump,
    /// The level has left the long-term level.
    Shift,
    /// Unlike other days or weeks at this time.
    Season,
    /// Steps from reading to reading have become larger.
    Noise,
}

impl Aspect {
    /// The name as it stands in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jump => "jump",
            Self::Shift => "shift",
            Self::Season => "season",
            Self::Noise => "noise",
        }
    }
}

/// What the scorer says about one reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surprise {
    /// 0 to 1; see the [module](super).
    pub score: f64,
    pub ready: bool,
    /// Where the reading was expected.
    pub expected: Option<(f64, f64)>,
    /// The average of the last dozen readings, this one included.
    pub level: f64,
    /// The average of the last forty readings.
    pub slow: f64,
    /// The aspect that weighs most.
    pub aspect: Aspect,
    /// What it looked at, where that usually lies, and how far from there is usual. For jumps the
    /// last, and for noise all three, are logarithms of steps in `jitter`s.
    observed: f64,
    centre: f64,
    usual: f64,
    jitter: f64,
}

impl Surprise {
    /// What the aspect looked at: the reading, a level, or for noise the usual step lately.
    #[must_use]
    pub fn aspect_observed(&self) -> f64 {
        if self.aspect == Aspect::Noise { self.step(self.observed) } else { self.observed }
    }

    /// Where what the aspect looked at usually lies, lowest and highest.
    #[must_use]
    pub fn aspect_expected(&self) -> (f64, f64) {
        let reach = match self.aspect {
            Aspect::Noise => return (0.0, self.step(self.centre + self.usual)),
            Aspect::Jump => self.step(self.usual),
            Aspect::Shift | Aspect::Season => self.usual,
        };
        (self.centre - reach, self.centre + reach)
    }

    fn step(&self, log: f64) -> f64 {
        (lesser(log, LOG_MAX).exp() - 1.0) * self.jitter
    }
}

/// Level and spread of the sensor, and how many readings they rest on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    pub mean: f64,
    /// Standard deviation, from the mean absolute deviation.
    pub spread: f64,
    pub samples: u64,
}

/// The ensemble that scores the readings of one sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    samples: u64,
    /// Readings in a row that lay further out than one may pull.
    far: u32,
    #[serde(with = "crate::exact::one")]
    last_few: f64,
    #[serde(with = "crate::exact::one")]
    short: f64,
    #[serde(with = "crate::exact::one")]
    middle: f64,
    #[serde(with = "crate::exact::one")]
    long: f64,
    /// Mean absolute deviation from the long level, and of a reading from the last few.
    #[serde(with = "crate::exact::one")]
    spread: f64,
    #[serde(with = "crate::exact::one")]
    jitter: f64,
    #[serde(with = "crate::exact::one")]
    season_average: f64,
    #[serde(with = "crate::exact::one")]
    week_average: f64,
    /// Averages of the logarithms of jumps, over a dozen and a thousand readings.
    #[serde(with = "crate::exact::one")]
    jumps: f64,
    #[serde(with = "crate::exact::one")]
    jumps_long: f64,
    season: Season,
    week: Week,
    /// Of jumps, of how much larger they have become, and of what the short and the middle level are
    /// away from the long one.
    moves: Tails,
    season_tail: Tail,
    season_average_tail: Tail,
    week_tail: Tail,
    week_average_tail: Tail,
    #[serde(skip)]
    weekly: Weekly,
}

/// One look at the statistics: surprise, value looked at, its centre and its usual reach (for jumps
/// the logarithm of it).
#[derive(Clone, Copy)]
struct Look {
    surprise: f64,
    observed: f64,
    centre: f64,
    usual: f64,
}

/// Where the last few readings were, and how far from there this one lies, as the logarithm of the
/// distance in `jitter`s.
#[derive(Clone, Copy)]
struct Jump {
    from: f64,
    relative: f64,
}

impl Scorer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Scores the reading and learns from it. `at` in µs, later than the reading before;
    /// `elapsed_s` since then; `interval_s` between readings as learned so far.
    pub fn observe(
        &mut self,
        at: i64,
        value: f64,
        elapsed_s: Option<f64>,
        interval_s: Option<f64>,
    ) -> Surprise {
        let expected = self.expected();
        let looks = self.look(at, value, elapsed_s, interval_s);
        let ready = self.samples > WARM_UP;
        let joint = looks.iter().fold(0.0, |sum, (_, look)| sum + square(look)).sqrt();
        let score = if ready { lesser(0.5 * joint / self.weekly.at(interval_s), 1.0) } else { 0.0 };
        let (aspect, look) = heaviest(&looks);
        Surprise {
            score,
            ready,
            expected,
            level: self.short,
            slow: self.middle,
            aspect,
            observed: look.observed,
            centre: look.centre,
            usual: look.usual,
            jitter: self.jitter,
        }
    }

    /// How much each statistic would have in the score of the next reading, as shares of the joint
    /// surprise; nothing is learned.
    #[must_use]
    pub fn shares(
        &self,
        at: i64,
        value: f64,
        elapsed_s: Option<f64>,
        interval_s: Option<f64>,
    ) -> [(Aspect, f64); LOOKS] {
        let mut twin = *self;
        let looks = twin.look(at, value, elapsed_s, interval_s);
        let joint: f64 = looks.iter().map(|(_, look)| square(look)).sum();
        looks.map(|(aspect, look)| (aspect, square(&look) / greater(joint, f64::MIN_POSITIVE)))
    }

    /// Looks at the reading from all sides and learns from it.
    #[inline(always)]
    fn look(
        &mut self,
        at: i64,
        value: f64,
        elapsed_s: Option<f64>,
        interval_s: Option<f64>,
    ) -> [(Aspect, Look); LOOKS] {
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        self.samples += 1;
        if self.samples == 1 {
            (self.last_few, self.short, self.middle, self.long) = (value, value, value, value);
        }
        if let (Some(elapsed_s), Some(interval_s)) = (elapsed_s, interval_s)
            && elapsed_s > GAP_INTERVALS * interval_s
        {
            self.last_few = value;
        }
        let least = self.least();
        let limit = self.pull_max();
        let jump = self.jump(value, least, limit);
        self.follow(value, least, limit);
        let limit = self.pull_max();
        let distances = [
            jump.relative,
            greater(self.jumps - self.jumps_long, 0.0),
            (self.short - self.long).abs(),
            (self.middle - self.long).abs(),
        ];
        let surprises = self.moves.surprise(distances);
        let usual = self.moves.usual_max();
        if self.is_placed() {
            self.moves.learn(distances, MEMORY);
        }
        let move_of = |place: usize, share: f64, observed: f64, centre: f64| Look {
            surprise: share * surprises[place],
            observed,
            centre,
            usual: usual[place],
        };
        let jump = move_of(0, JUMP_SHARE, value, jump.from);
        let noise = move_of(1, NOISE_SHARE, self.jumps, self.jumps_long);
        let short = move_of(2, 1.0, self.short, self.long);
        let middle = move_of(3, 1.0, self.middle, self.long);
        let (season, week) = self.look_at_season(at, value, limit);
        self.settle(value, least, limit);
        [
            (Aspect::Jump, jump),
            (Aspect::Shift, short),
            (Aspect::Shift, middle),
            (Aspect::Season, season),
            (Aspect::Season, week),
            (Aspect::Noise, noise),
        ]
    }

    /// Where the next reading is expected; `None` while warming up.
    #[must_use]
    pub fn expected(&self) -> Option<(f64, f64)> {
        let reach = BAND_SIGMAS * SIGMA_PER_MAD * self.jitter;
        (self.samples > WARM_UP).then_some((self.last_few - reach, self.last_few + reach))
    }

    /// The average of the last dozen readings.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.short
    }

    #[must_use]
    pub fn baseline(&self) -> Baseline {
        let spread = SIGMA_PER_MAD * self.spread;
        Baseline { mean: self.long, spread, samples: self.samples }
    }

    fn is_placed(&self) -> bool {
        self.samples > PLACED
    }

    /// The least weight of a reading in an average, which is its share while there are few. Later
    /// every average gives it more.
    fn least(&self) -> f64 {
        if self.samples > FEW { 0.0 } else { 1.0 / self.samples as f64 }
    }

    /// How far the reading lies from the last few. The logarithm makes heavy-tailed jumps, which most
    /// sensors have, light-tailed.
    #[inline(always)]
    fn jump(&mut self, value: f64, least: f64, limit: f64) -> Jump {
        let from = self.last_few;
        let distance = (value - from).abs();
        self.jitter += greater(2.0 * LONG, least) * (lesser(distance, limit) - self.jitter);
        // Twice as fast as `ln_1p`, whose care for tiny arguments means nothing here.
        let relative = lesser((1.0 + distance / (self.jitter + f64::MIN_POSITIVE)).ln(), LOG_MAX);
        self.jumps += greater(SHORT, least) * (relative - self.jumps);
        self.jumps_long += greater(LONG, least) * (relative - self.jumps_long);
        Jump { from, relative }
    }

    /// How unusual the last readings were for their time of day, and of the week.
    fn look_at_season(&mut self, at: i64, value: f64, limit: f64) -> (Look, Look) {
        let value = self.long + within(value - self.long, limit);
        let time = HourTime::of(at);
        let day = Habit {
            expected: self.season.expected(time),
            weight: SEASON_WEIGHT,
            average: &mut self.season_average,
            tail: &mut self.season_tail,
            average_tail: &mut self.season_average_tail,
        };
        let week = Habit {
            expected: self.week.expected(time.hour),
            weight: WEEK_WEIGHT,
            average: &mut self.week_average,
            tail: &mut self.week_tail,
            average_tail: &mut self.week_average_tail,
        };
        let looks = (day.look(value), week.look(value));
        if let Some((hour, mean)) = self.season.learn(time.hour, value) {
            self.week.learn(hour, mean, greater(self.spread, SPREAD_MIN * self.long.abs()));
        }
        looks
    }

    /// Moves the short levels towards the reading.
    fn follow(&mut self, value: f64, least: f64, limit: f64) {
        let is_far = (value - self.middle).abs() > limit;
        self.last_few += greater(LAST_FEW, least) * within(value - self.last_few, limit);
        self.short += greater(SHORT, least) * within(value - self.short, limit);
        self.middle += greater(MIDDLE, least) * within(value - self.middle, limit);
        self.far = if is_far { (self.far + 1).min(FAR_MAX) } else { 0 };
    }

    /// Moves the baseline towards the reading.
    fn settle(&mut self, value: f64, least: f64, limit: f64) {
        let distance = within(value - self.long, PULL_SHARE_LONG * limit);
        let weight = greater(LONG, least);
        self.long += weight * distance;
        self.spread += weight * (distance.abs() - self.spread);
    }

    fn pull_max(&self) -> f64 {
        if self.samples < SETTLED || self.spread <= 0.0 {
            return f64::MAX;
        }
        let widening = (1_u64 << (2 * self.far)) as f64;
        PULL_MAX * widening * greater(self.spread, SPREAD_MIN * self.long.abs())
    }
}

/// What a sensor had at this time before, and how far from it it usually lies.
struct Habit<'a> {
    expected: Option<f64>,
    weight: f64,
    average: &'a mut f64,
    tail: &'a mut Tail,
    average_tail: &'a mut Tail,
}

impl Habit<'_> {
    #[inline(always)]
    fn look(self, value: f64) -> Look {
        let mut look = Look { surprise: 0.0, observed: value, centre: value, usual: 0.0 };
        let Some(expected) = self.expected else { return look };
        let distance = (value - expected).abs();
        look.centre = expected;
        look.usual = self.tail.usual_max();
        if self.tail.is_ready() {
            let surprise = lesser(self.tail.surprise(distance), SEASON_SURPRISE_MAX);
            *self.average += self.weight * (surprise - *self.average);
            if self.average_tail.is_ready() {
                look.surprise = self.average_tail.surprise(*self.average);
            }
            self.average_tail.learn(*self.average, MEMORY);
        }
        self.tail.learn(distance, MEMORY);
        look
    }
}

/// The joint surprise that chance alone reaches two or three times a week, kept for the interval it was
/// worked out for: a logarithm per reading would be a tenth of the work. No part of the state.
#[derive(Clone, Copy, Debug, Default)]
struct Weekly {
    interval_s: f64,
    surprise: f64,
}

impl Weekly {
    fn at(&mut self, interval_s: Option<f64>) -> f64 {
        match interval_s {
            Some(interval) if interval < SLOW_INTERVAL_S => {
                if interval != self.interval_s || self.surprise == 0.0 {
                    let folds = (SLOW_INTERVAL_S / interval.max(FAST_INTERVAL_S)).ln();
                    let surprise = SURPRISE_WEEKLY + SURPRISE_PER_E_FOLD * folds;
                    *self = Self { interval_s: interval, surprise };
                }
                self.surprise
            }
            _ => SURPRISE_WEEKLY,
        }
    }
}

impl PartialEq for Weekly {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

fn square(look: &Look) -> f64 {
    look.surprise * look.surprise
}

fn heaviest(looks: &[(Aspect, Look); LOOKS]) -> (Aspect, Look) {
    let mut heaviest = looks[0];
    for look in &looks[1..] {
        if look.1.surprise > heaviest.1.surprise {
            heaviest = *look;
        }
    }
    heaviest
}
