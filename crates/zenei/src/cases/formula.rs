//! Formulas of a rule's test case: numbers, names, `+ - * / ^`, brackets and a few functions. Must not know rules or
//! locks: the [`Scope`] gives the value of a name and the random numbers. Called by `read`, which parses formulas, and
//! by `records`, which evaluates them.

/// The functions with how many arguments each takes.
const FUNCTIONS: [(&str, Function, usize); 13] = [
    ("exp", Function::Exp, 1),
    ("ln", Function::Ln, 1),
    ("sqrt", Function::Sqrt, 1),
    ("sin", Function::Sin, 1),
    ("floor", Function::Floor, 1),
    ("abs", Function::Abs, 1),
    ("min", Function::Min, 2),
    ("max", Function::Max, 2),
    ("when", Function::When, 3),
    ("gauss", Function::Gauss, 1),
    ("noise", Function::Noise, 1),
    ("own", Function::Own, 1),
    ("chance", Function::Chance, 1),
];

/// The deepest nesting of brackets and signs: far more than a person writes.
const MAX_DEPTH: usize = 32;

/// A formula, ready to be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    /// A number.
    Number(f64),
    /// A name that the scope resolves.
    Name(String),
    /// Two formulas joined.
    Join(Operator, Box<[Formula; 2]>),
    /// A function of formulas; the place in the text distinguishes the uses of `own`.
    Call(Function, Vec<Formula>, usize),
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
    /// `^`
    Power,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// e to the power of x.
    Exp,
    /// Natural logarithm.
    Ln,
    /// Square root.
    Sqrt,
    /// Sine of x in radians.
    Sin,
    /// The greatest whole number not above x.
    Floor,
    /// Without its sign.
    Abs,
    /// The lesser of two.
    Min,
    /// The greater of two.
    Max,
    /// `when(x, a, b)`: a where x is above 0, else b.
    When,
    /// A new Gaussian number around 0 with this standard deviation.
    Gauss,
    /// A new factor around 1: e to the power of `gauss(x)`.
    Noise,
    /// A constant factor of a lock, around 1.
    Own,
    /// 1 with this probability, else 0.
    Chance,
}

/// Why a text is no formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormulaError {
    /// A character, or the end, where something else is allowed.
    #[error("found {} at character {at}; {allowed} is allowed", character(*found))]
    Unexpected {
        /// The character; `None` at the end.
        found: Option<char>,
        /// Its place, from 1.
        at: usize,
        /// What is allowed there.
        allowed: &'static str,
    },
    /// Too many brackets or signs within each other.
    #[error("is nested deeper than {MAX_DEPTH} brackets")]
    TooDeep,
    /// Digits that are no number.
    #[error("found {found:?}, which is no number")]
    NoNumber {
        /// The digits.
        found: String,
    },
    /// An unknown function.
    #[error("found the function {found:?}; allowed are {}", FUNCTIONS.map(|(known, ..)| known).join(", "))]
    UnknownFunction {
        /// Its name.
        found: String,
    },
    /// More or fewer arguments than the function takes.
    #[error("{function} has {found} arguments; it takes {allowed}")]
    Arguments {
        /// The function.
        function: String,
        /// How many it has.
        found: usize,
        /// How many it takes.
        allowed: usize,
    },
}

fn character(found: Option<char>) -> String {
    found.map_or("the end".to_owned(), |found| format!("{found:?}"))
}

/// The context in which a formula is evaluated.
pub(crate) trait Scope {
    /// The value of the name; `None` where it is unknown.
    fn value(&mut self, name: &str) -> Option<f64>;
    /// A new uniform number from above 0 to below 1.
    fn uniform(&mut self) -> f64;
    /// The lock's own Gaussian number for this place of a text, always the same.
    fn own(&mut self, place: usize) -> f64;
}

/// A Gaussian number around 0 with standard deviation 1 of two uniform ones (Box and Muller 1958).
pub(crate) fn gauss(first: f64, second: f64) -> f64 {
    (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos()
}

impl Formula {
    /// Parses a formula.
    ///
    /// # Errors
    /// What was found where, and what was allowed.
    pub(crate) fn parse(text: &str) -> Result<Self, FormulaError> {
        let mut reader = Reader { text, at: 0, depth: 0 };
        let formula = reader.sum()?;
        match reader.peek() {
            None => Ok(formula),
            Some(found) => Err(reader.unexpected(Some(found), "an operator or the end")),
        }
    }

    /// The formula's value; NaN where a name is unknown.
    pub(crate) fn evaluate(&self, scope: &mut impl Scope) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Name(name) => scope.value(name).unwrap_or(f64::NAN),
            Self::Join(operator, both) => {
                let (a, b) = (both[0].evaluate(scope), both[1].evaluate(scope));
                match operator {
                    Operator::Plus => a + b,
                    Operator::Minus => a - b,
                    Operator::Times => a * b,
                    Operator::Over => a / b,
                    Operator::Power => a.powf(b),
                }
            }
            Self::Call(function, arguments, place) => call(*function, arguments, *place, scope),
        }
    }

    /// Every name in it.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Name(name) => vec![name],
            Self::Join(_, both) => both.iter().flat_map(Self::names).collect(),
            Self::Call(_, arguments, _) => arguments.iter().flat_map(Self::names).collect(),
        }
    }
}

fn call(function: Function, arguments: &[Formula], place: usize, scope: &mut impl Scope) -> f64 {
    let mut argument = |at: usize| arguments.get(at).map_or(f64::NAN, |argument| argument.evaluate(scope));
    let x = argument(0);
    match function {
        Function::Exp => x.exp(),
        Function::Ln => x.ln(),
        Function::Sqrt => x.sqrt(),
        Function::Sin => x.sin(),
        Function::Floor => x.floor(),
        Function::Abs => x.abs(),
        Function::Min => x.min(argument(1)),
        Function::Max => x.max(argument(1)),
        Function::When => argument(if x > 0.0 { 1 } else { 2 }),
        Function::Gauss => x * gauss(scope.uniform(), scope.uniform()),
        Function::Noise => (x * gauss(scope.uniform(), scope.uniform())).exp(),
        Function::Own => (x * scope.own(place)).exp(),
        Function::Chance => f64::from(u8::from(scope.uniform() < x)),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: &str) -> Option<char> {
        let found = self.peek().filter(|found| wanted.contains(*found))?;
        self.at += found.len_utf8();
        Some(found)
    }

    fn unexpected(&self, found: Option<char>, allowed: &'static str) -> FormulaError {
        FormulaError::Unexpected { found, at: self.text[..self.at].chars().count() + 1, allowed }
    }

    fn sum(&mut self) -> Result<Formula, FormulaError> {
        let mut formula = self.product()?;
        while let Some(operator) = self.take("+-") {
            let operator = if operator == '+' { Operator::Plus } else { Operator::Minus };
            formula = Formula::Join(operator, Box::new([formula, self.product()?]));
        }
        Ok(formula)
    }

    fn product(&mut self) -> Result<Formula, FormulaError> {
        let mut formula = self.power()?;
        while let Some(operator) = self.take("*/") {
            let operator = if operator == '*' { Operator::Times } else { Operator::Over };
            formula = Formula::Join(operator, Box::new([formula, self.power()?]));
        }
        Ok(formula)
    }

    fn power(&mut self) -> Result<Formula, FormulaError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FormulaError::TooDeep);
        }
        let formula = if self.take("-").is_some() {
            Formula::Join(Operator::Minus, Box::new([Formula::Number(0.0), self.power()?]))
        } else {
            let base = self.atom()?;
            match self.take("^") {
                Some(_) => Formula::Join(Operator::Power, Box::new([base, self.power()?])),
                None => base,
            }
        };
        self.depth -= 1;
        Ok(formula)
    }

    fn atom(&mut self) -> Result<Formula, FormulaError> {
        let found = self.peek();
        match found {
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                self.close()?;
                Ok(inner)
            }
            Some(digit) if digit.is_ascii_digit() || digit == '.' => self.number(),
            Some(letter) if letter.is_ascii_alphabetic() => self.name(),
            _ => Err(self.unexpected(found, "a number, a name, a function or a bracket")),
        }
    }

    fn close(&mut self) -> Result<(), FormulaError> {
        let found = self.peek();
        if self.take(")").is_some() { Ok(()) } else { Err(self.unexpected(found, "')'")) }
    }

    fn span(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        let rest = &self.text[start..];
        self.at += rest.find(|letter| !belongs(letter)).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    fn number(&mut self) -> Result<Formula, FormulaError> {
        let text = self.span(|letter| letter.is_ascii_digit() || letter == '.' || letter == '_').replace('_', "");
        text.parse().map(Formula::Number).map_err(|_| FormulaError::NoNumber { found: text })
    }

    fn name(&mut self) -> Result<Formula, FormulaError> {
        let place = self.at;
        let name = self.span(|letter| letter.is_ascii_alphanumeric() || letter == '_').to_owned();
        if self.take("(").is_none() {
            return Ok(Formula::Name(name));
        }
        let Some(&(_, function, count)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            return Err(FormulaError::UnknownFunction { found: name });
        };
        let mut arguments = vec![self.sum()?];
        while self.take(",").is_some() {
            arguments.push(self.sum()?);
        }
        self.close()?;
        if arguments.len() != count {
            return Err(FormulaError::Arguments { function: name, found: arguments.len(), allowed: count });
        }
        Ok(Formula::Call(function, arguments, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Scope for Fixed {
        fn value(&mut self, name: &str) -> Option<f64> {
            (name == "day").then_some(12.0)
        }
        fn uniform(&mut self) -> f64 {
            0.25
        }
        fn own(&mut self, place: usize) -> f64 {
            place as f64
        }
    }

    fn value(text: &str) -> f64 {
        Formula::parse(text).unwrap().evaluate(&mut Fixed)
    }

    #[test]
    fn arithmetic_binds_as_on_paper() {
        for (text, expected) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("8 / 4 / 2", 1.0),
            ("10 - 4 - 3", 3.0),
            ("2 ^ 3 ^ 2", 512.0),
            ("-2 ^ 2", -4.0),
            ("1_000 - -1", 1_001.0),
            ("day / 24", 0.5),
            ("max(day, 3) + min(day, 3)", 15.0),
            ("when(day - 12, 1, when(day - 11, 2, 3))", 2.0),
            ("floor(2.7) + abs(0 - 3)", 5.0),
            ("chance(0.3) + chance(0.2)", 1.0),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        assert!((value("exp(ln(5)) + sqrt(9) + sin(0)") - 8.0).abs() < 1e-12);
        assert!(value("nobody + 1").is_nan());
    }

    #[test]
    fn each_use_of_own_is_another_number() {
        assert_ne!(value("own(1)"), value(" own(1)"));
    }

    #[test]
    fn a_bad_formula_says_what_and_where() {
        let problem = |text: &str| Formula::parse(text).unwrap_err().to_string();
        assert_eq!(
            problem("1 + "),
            "found the end at character 5; a number, a name, a function or a bracket is allowed"
        );
        assert_eq!(problem("1 2"), "found '2' at character 3; an operator or the end is allowed");
        assert_eq!(problem("(1"), "found the end at character 3; ')' is allowed");
        assert_eq!(problem("max(1)"), "max has 1 arguments; it takes 2");
        assert_eq!(problem("1.2.3"), "found \"1.2.3\", which is no number");
        assert!(problem("random(1)").starts_with("found the function \"random\"; allowed are exp, ln"));
        assert!(problem(&"(".repeat(100)).contains("nested deeper"));
        assert!(problem(&"-".repeat(100_000)).contains("nested deeper"));
    }

    #[test]
    fn names_are_listed() {
        assert_eq!(Formula::parse("a + exp(b * a)").unwrap().names(), ["a", "b", "a"]);
    }
}
