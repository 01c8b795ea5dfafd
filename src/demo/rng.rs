//! The generator behind the demo: SplitMix64, small enough to read and the same on every machine.

/// The seed of all streams. Another seed changes every generated value, and so the committed files.
const SEED: u64 = 0x746f_6d62_6f6c_6f21;

/// One stream of reproducible numbers.
pub(super) struct DemoRng(u64);

impl DemoRng {
    /// The stream of this name. Streams are independent of each other.
    pub(super) fn stream(name: &str) -> DemoRng {
        // FNV-1a spreads the names; SplitMix64 does the mixing after that.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
            (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
        });
        DemoRng(SEED ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to and without `end`, which is above 0.
    ///
    /// The remainder favours small numbers by less than one in 2^50: no matter for a demo.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True in `percent` of a hundred calls.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, which is not empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A day of `year` as `YYYY-MM-DD`; days end at 28, so every month has them.
    pub(super) fn day(&mut self, year: u32) -> String {
        format!("{year}-{:02}-{:02}", self.below(12) + 1, self.below(28) + 1)
    }

    /// `len` characters as printed on machines: no letter that reads like a digit.
    pub(super) fn serial(&mut self, len: usize) -> String {
        let alphabet: Vec<char> = "0123456789CDFGHJKLMNPQRTVWXY".chars().collect();
        (0..len).map(|_| self.pick(&alphabet)).collect()
    }
}
