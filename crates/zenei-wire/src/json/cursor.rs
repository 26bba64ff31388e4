//! Parses JSON strictly by RFC 8259: no trailing comma, no leading zero, no NaN, no raw control character in a text, no
//! lone surrogate. Must not know fields or records. Called by `json` (messages) and by `recording` (lines).
use crate::fault::Fault;
use crate::value::{Samples, Value};
use alloc::borrow::Cow;
use alloc::string::String;

/// A place in a JSON text.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth_max: usize,
}

impl<'a> Cursor<'a> {
    /// The start of a text that may be nested `depth_max` deep.
    pub(crate) const fn new(text: &'a str, depth_max: usize) -> Self {
        Self { text, at: 0, depth_max }
    }

    /// The byte position.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes from `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.text.as_bytes()[start..self.at]
    }

    /// The next byte; 0, which no grammar allows outside a text, at the end.
    #[inline]
    pub(crate) fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// The fault that something else is here than is allowed.
    #[cold]
    pub(crate) const fn fault(&self, allowed: &'static str) -> Fault {
        Fault::Syntax { at: self.at, allowed }
    }

    /// Skips white space.
    #[inline]
    pub(crate) fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Skips one byte and the white space after it.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8, allowed: &'static str) -> Result<(), Fault> {
        if self.peek() != byte {
            return Err(self.fault(allowed));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Skips the white space at the end.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault("only the end of the message")) }
    }

    /// Opens an object or array as level `depth`; false where it is empty, and then it is closed already.
    pub(crate) fn open(&mut self, close: u8, depth: usize) -> Result<bool, Fault> {
        if depth > self.depth_max {
            return Err(Fault::TooDeep { at: self.at, levels: self.depth_max });
        }
        self.at += 1;
        self.space();
        let empty = self.peek() == close;
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// After an element: true where another one follows, false where the object or array is closed.
    #[inline]
    pub(crate) fn more(&mut self, close: u8) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            b',' => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.fault("a comma or the closing bracket")),
        }
    }

    /// A member's name, its colon and the white space around it.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<Cow<'a, str>, Fault> {
        if self.peek() != b'"' {
            return Err(self.fault("a name in quotes"));
        }
        let name = self.string()?;
        self.space();
        self.take(b':', "a colon")?;
        Ok(name)
    }

    /// Any value of an object or array of level `depth`. The elements of an array go into `samples`.
    #[inline]
    pub(crate) fn value(&mut self, depth: usize, samples: &mut Samples) -> Result<Value<'a>, Fault> {
        match self.peek() {
            b'[' => {
                self.array(depth + 1, samples)?;
                Ok(Value::Array)
            }
            b'{' => self.skip(depth).map(|()| Value::Map),
            _ => self.scalar(),
        }
    }

    /// Skips a value of an object or array of level `depth`.
    pub(crate) fn skip(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            b'{' => {
                let mut more = self.open(b'}', depth + 1)?;
                while more {
                    self.name()?;
                    self.skip(depth + 1)?;
                    more = self.more(b'}')?;
                }
                Ok(())
            }
            b'[' => {
                let mut more = self.open(b']', depth + 1)?;
                while more {
                    self.skip(depth + 1)?;
                    more = self.more(b']')?;
                }
                Ok(())
            }
            _ => self.scalar().map(drop),
        }
    }

    fn array(&mut self, depth: usize, samples: &mut Samples) -> Result<(), Fault> {
        samples.clear();
        let mut more = self.open(b']', depth)?;
        while more {
            let element = match self.peek() {
                b'[' | b'{' => self.skip(depth).map(|()| Value::Map)?,
                _ => self.scalar()?,
            };
            samples.push(&element);
            more = self.more(b']')?;
        }
        Ok(())
    }

    /// A text, number or literal.
    #[inline]
    pub(crate) fn scalar(&mut self) -> Result<Value<'a>, Fault> {
        match self.peek() {
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true", Value::Bool),
            b'f' => self.literal("false", Value::Bool),
            b'n' => self.literal("null", Value::Null),
            _ => Err(self.fault("a value")),
        }
    }

    fn literal(&mut self, word: &'static str, value: Value<'a>) -> Result<Value<'a>, Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// A number. What is no integer of 64 bits becomes the nearest double; beyond its range an infinity.
    fn number(&mut self) -> Result<Value<'a>, Fault> {
        let start = self.at;
        let negative = self.peek() == b'-';
        self.at += usize::from(negative);
        if self.peek() == b'0' && self.text.as_bytes().get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            return Err(self.fault("no digit after a leading zero"));
        }
        let (integer, integer_digits) = self.digits(0)?;
        let (mut coefficient, mut digits, mut decimals) = (integer, integer_digits, 0);
        let mut is_integer = true;
        if self.peek() == b'.' {
            is_integer = false;
            self.at += 1;
            (coefficient, decimals) = self.digits(integer)?;
            digits += decimals;
        }
        let has_exponent = matches!(self.peek(), b'e' | b'E');
        if has_exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits(0)?;
        }
        // 18 digits fit 63 bits, and what wrapped around has more.
        if is_integer && !has_exponent && digits <= 18 {
            let number = coefficient.cast_signed();
            return Ok(Value::Int(if negative { -number } else { number }));
        }
        // 15 digits and a power of ten up to 22 are exact doubles, so that their quotient is the nearest double
        // (Clinger 1990).
        if !has_exponent && digits <= 15 {
            let number = coefficient as f64 / POWERS_OF_TEN[decimals];
            return Ok(Value::Float(if negative { -number } else { number }));
        }
        let text = &self.text[start..self.at];
        if is_integer
            && !has_exponent
            && let Ok(number) = text.parse()
        {
            return Ok(Value::Int(number));
        }
        text.parse().map(Value::Float).map_err(|_| self.fault("a number"))
    }

    /// The number that `before` and the digits here make (wrapping), and how many digits there are: at least one.
    #[inline]
    fn digits(&mut self, before: u64) -> Result<(u64, usize), Fault> {
        let start = self.at;
        let mut number = before;
        while let digit @ b'0'..=b'9' = self.peek() {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        if self.at == start { Err(self.fault("a digit")) } else { Ok((number, self.at - start)) }
    }

    /// A text, from its opening quote on.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at + 1;
        self.at = start + plain_run(&self.text.as_bytes()[start..]);
        if self.peek() == b'"' {
            let text = &self.text[start..self.at];
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        self.escaped(start).map(Cow::Owned)
    }

    /// A text with escapes; its plain start is read.
    #[cold]
    fn escaped(&mut self, start: usize) -> Result<String, Fault> {
        let mut out = String::from(&self.text[start..self.at]);
        loop {
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return Err(self.fault("a closing quote, and no control character before it,")),
            }
            let plain = self.at;
            self.at += plain_run(&self.text.as_bytes()[plain..]);
            out.push_str(&self.text[plain..self.at]);
        }
    }

    /// An escape, from behind its backslash on.
    fn escape(&mut self) -> Result<char, Fault> {
        let plain = match self.peek() {
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => return Err(self.fault("one of \" \\ / b f n r t u after a backslash")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self) -> Result<char, Fault> {
        let first = self.hex4()?;
        let mut scalar = first;
        if (0xD800..0xDC00).contains(&first) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                scalar = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            }
        }
        char::from_u32(scalar).ok_or_else(|| self.fault("no lone surrogate"))
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()).to_digit(16).ok_or_else(|| self.fault("four hex digits"))?;
            number = number * 16 + digit;
            self.at += 1;
        }
        Ok(number)
    }
}

/// Exact doubles.
const POWERS_OF_TEN: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// How many bytes come before the first quote, backslash or control character; all if there is none.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    // Eight bytes at a time: the high bit of a byte is set in `special` where the byte is a quote, a backslash or below
    // 0x20. A false one can only stand above a true one, and the lowest counts.
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (chunk_number, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let quote = zeros(word ^ (ONES * b'"' as u64));
        let backslash = zeros(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (quote | backslash | control) & HIGHS;
        if special != 0 {
            return chunk_number * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}
