//! The fleet's index: dense numbers for locks and for the words that describe them, so that the hot path compares
//! integers. It holds names only and must not know behaviour. Intake, `adverts` and the engine assign numbers;
//! detectors, stores and the desk read names back.
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// The most distinct words stored (models, versions, lots, sites, …). A further word counts as absent, and is counted:
/// a sender that makes up a new version for each record must not fill the memory. A guess: a fleet of ten million locks
/// has some ten thousand.
pub const MAX_WORDS: usize = 1 << 20;

/// The name of a removed lock, followed by its number.
pub const FORGOTTEN: &str = "forgotten";

/// A lock's dense number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceIx(pub u32);

/// A word's dense number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sym(pub u32);

impl Sym {
    /// No word: the value is unknown.
    pub const NONE: Self = Self(0);
}

/// The index.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fleet {
    devices: Vec<Box<str>>,
    words: Vec<Box<str>>,
    #[serde(skip)]
    device_numbers: HashMap<Box<str>, DeviceIx>,
    #[serde(skip)]
    word_numbers: HashMap<Box<str>, Sym>,
    words_refused: u64,
}

impl Fleet {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lock's number, given now where it is new.
    pub fn number(&mut self, device_id: &str) -> DeviceIx {
        if let Some(&device) = self.device_numbers.get(device_id) {
            return device;
        }
        let device = DeviceIx(u32::try_from(self.devices.len()).unwrap_or(u32::MAX));
        self.devices.push(device_id.into());
        self.device_numbers.insert(device_id.into(), device);
        device
    }

    /// The lock's number, where it has one.
    pub fn find(&self, device_id: &str) -> Option<DeviceIx> {
        self.device_numbers.get(device_id).copied()
    }

    /// Takes a lock's id out of the index: its number stays, under an anonymous name. The id gets another number when
    /// it appears again.
    pub(crate) fn forget(&mut self, device_id: &str) -> Option<DeviceIx> {
        let device = self.device_numbers.remove(device_id)?;
        let nameless: Box<str> = format!("{FORGOTTEN}-{}", device.0).into();
        if let Some(id) = self.devices.get_mut(device.0 as usize) {
            id.clone_from(&nameless);
        }
        self.device_numbers.insert(nameless, device);
        Some(device)
    }

    /// The lock's id; empty for a number that this index never gave.
    pub fn device_id(&self, device: DeviceIx) -> &str {
        self.devices.get(device.0 as usize).map_or("", |id| id)
    }

    /// How many locks have a number.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether no lock has a number.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// The word's number, given now where it is new; [`Sym::NONE`] for an empty word and, counted, beyond
    /// [`MAX_WORDS`].
    pub fn intern(&mut self, word: &str) -> Sym {
        if word.is_empty() {
            return Sym::NONE;
        }
        if let Some(&sym) = self.word_numbers.get(word) {
            return sym;
        }
        if self.words.len() >= MAX_WORDS {
            self.words_refused += 1;
            return Sym::NONE;
        }
        self.words.push(word.into());
        let sym = Sym(u32::try_from(self.words.len()).unwrap_or(0));
        self.word_numbers.insert(word.into(), sym);
        sym
    }

    /// As [`Fleet::intern`], for a word that is most likely the `likely` one: one comparison instead of a search.
    pub(crate) fn intern_again(&mut self, word: &str, likely: Sym) -> Sym {
        if self.word(likely) == Some(word) { likely } else { self.intern(word) }
    }

    /// The word's number, where it has one.
    pub fn find_word(&self, word: &str) -> Option<Sym> {
        self.word_numbers.get(word).copied()
    }

    /// The word; `None` for [`Sym::NONE`].
    pub fn word(&self, sym: Sym) -> Option<&str> {
        let at = (sym.0 as usize).checked_sub(1)?;
        self.words.get(at).map(|word| &**word)
    }

    /// How many words were refused because [`MAX_WORDS`] were there.
    pub fn words_refused(&self) -> u64 {
        self.words_refused
    }

    /// Rebuilds what a snapshot leaves out.
    pub fn reindex(&mut self) {
        let numbered = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.device_numbers =
            self.devices.iter().enumerate().map(|(at, id)| (id.clone(), DeviceIx(numbered(at)))).collect();
        self.word_numbers =
            self.words.iter().enumerate().map(|(at, word)| (word.clone(), Sym(numbered(at + 1)))).collect();
    }
}
