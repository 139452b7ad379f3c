//! Randomness from a seed, so that a failing run can be run again.

/// SplitMix64, after Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators" (2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed from `STEAD_SEED`, or a new one; printed, so that it can be given again.
    #[must_use]
    pub fn from_environment(what: &str) -> Self {
        let given = std::env::var("STEAD_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            time.map_or(1, |time| u64::from(time.subsec_nanos()) ^ time.as_secs())
        });
        println!("{what}: seed {seed} (STEAD_SEED={seed} runs it again)");
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to one less than `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }

    /// Another generator, whose numbers have nothing to do with these.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.number())
    }
}
