//! The texts of a stored column. If the file has a dictionary for it, each distinct text is processed once, not once
//! per row: a word of the contract is parsed, a name is numbered. Must not know files or what a column means. Called by
//! `batch`, `own` and `rows`.
use super::error::ReadError;
use super::value::bad;
use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, PrimitiveArray, RecordBatch, StringArray};
use zenei_wire::Text;

/// A column of texts.
#[derive(Debug)]
pub(super) struct Words {
    /// The place of each row's text; `None` if the texts are stored row by row.
    keys: Option<PrimitiveArray<Int32Type>>,
    texts: StringArray,
}

/// A column of the contract's words.
#[derive(Debug)]
pub(super) struct Coded<T> {
    name: &'static str,
    words: Words,
    /// The meaning of each text; `None` for a text that is not a word of the contract.
    known: Vec<Option<T>>,
}

/// The numbers that a fleet gave to the texts of a column; `None` for a text without a number yet. Batches of one file
/// share their dictionary, and then these numbers too.
#[derive(Debug)]
pub(super) struct Numbers<T> {
    /// Retained, so that no other dictionary can get the same place in memory.
    texts: Option<StringArray>,
    known: Vec<Option<T>>,
}

impl Words {
    pub(super) fn new(batch: &RecordBatch, name: &'static str) -> Result<Self, ReadError> {
        let found = |found: String| ReadError::Column { name, found };
        let array = batch.column_by_name(name).ok_or_else(|| found("nothing".to_owned()))?;
        if let Some(texts) = array.as_any().downcast_ref::<StringArray>() {
            return Ok(Self { keys: None, texts: texts.clone() });
        }
        let words = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>();
        let texts = words.and_then(|words| words.values().as_any().downcast_ref::<StringArray>());
        let (words, texts) = words.zip(texts).ok_or_else(|| found(array.data_type().to_string()))?;
        Ok(Self { keys: Some(words.keys().clone()), texts: texts.clone() })
    }

    /// The place of the row's text; `None` if the row has none.
    #[inline]
    pub(super) fn place(&self, at: usize) -> Option<usize> {
        match &self.keys {
            // A dictionary has no negative place; the reader has checked that each is in it.
            Some(keys) => keys.is_valid(at).then(|| keys.value(at) as usize),
            None => self.texts.is_valid(at).then_some(at),
        }
    }

    /// The text at a place.
    pub(super) fn text(&self, place: usize) -> &str {
        self.texts.value(place)
    }

    /// The row's text.
    pub(super) fn said(&self, at: usize) -> Option<&str> {
        self.place(at).map(|place| self.text(place))
    }

    /// The same, in the form of a record's text.
    pub(super) fn lent(&self, at: usize) -> Option<Text<'_>> {
        self.said(at).map(Text::Borrowed)
    }
}

impl<T: Copy> Coded<T> {
    pub(super) fn new(
        batch: &RecordBatch,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Self, ReadError> {
        let words = Words::new(batch, name)?;
        let known = words.texts.iter().map(|text| text.and_then(&parse)).collect();
        Ok(Self { name, words, known })
    }

    /// The row's word.
    pub(super) fn read(&self, at: usize) -> Result<Option<T>, ReadError> {
        let Some(place) = self.words.place(at) else { return Ok(None) };
        let unknown = || bad(self.name, self.words.text(place), "the contract has no such word");
        self.known[place].map(Some).ok_or_else(unknown)
    }

    /// The same, for a field that its kind of record requires.
    pub(super) fn required(&self, at: usize) -> Result<T, ReadError> {
        self.read(at)?.ok_or_else(|| bad(self.name, "null", "its kind requires it"))
    }
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { texts: None, known: Vec::new() }
    }
}

impl<T: Copy> Numbers<T> {
    /// Advances to a batch's column.
    pub(super) fn follow(&mut self, words: &Words) {
        let parts = |texts: &StringArray| (texts.len(), texts.value_offsets().as_ptr(), texts.value_data().as_ptr());
        if self.texts.as_ref().map(parts) != Some(parts(&words.texts)) {
            self.texts = Some(words.texts.clone());
            self.known.clear();
            self.known.resize(words.texts.len(), None);
        }
    }

    /// The number of the row's text, from `number` if it has none yet; `None` if the row has no text, or `number` gave
    /// none.
    pub(super) fn of<E>(
        &mut self,
        words: &Words,
        at: usize,
        number: impl FnOnce(&str) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let Some(place) = words.place(at) else { return Ok(None) };
        if self.known[place].is_none() {
            self.known[place] = number(words.text(place))?;
        }
        Ok(self.known[place])
    }
}
