//! How far replay is trusted. A change that it made differently, or a batch that turned out to be
//! invalid after some of it had been replayed, costs a rebuild once: from then on it costs a copy.

/// Replays in a row after which replay is trusted again without a copy.
const REGAINED: u32 = 256;
/// Most changes that are handed to the crate at once before replay is tried again.
const MOST_SKIPPED: u32 = 1024;

#[derive(Default)]
pub struct Trust {
    misses: u32,
    hits: u32,
    skip: u32,
    pub mismatches: u64,
    /// How often the document had to be built again.
    pub rebuilds: u64,
}

impl Trust {
    /// Whether to try a replay now.
    pub fn allows(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        true
    }

    /// Whether to be able to take a replay back without a rebuild.
    pub fn is_careful(&self) -> bool {
        self.misses > 0
    }

    pub fn hit(&mut self) {
        self.hits += 1;
        if self.hits >= REGAINED {
            self.misses = 0;
        }
    }

    /// A replay made another change than the one that came.
    pub fn missed(&mut self) {
        self.mismatches += 1;
        self.miss();
    }

    pub fn miss(&mut self) {
        self.hits = 0;
        self.misses = (self.misses + 1).min(31);
        self.skip = (1 << self.misses).min(MOST_SKIPPED);
    }
}
