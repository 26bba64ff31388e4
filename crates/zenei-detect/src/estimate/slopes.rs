//! How much of an observation two covariates explain: a regression pooled over many locks, each taken around its own
//! mean, so that differences between locks do not count as an effect. A prior from physics holds until the data
//! outweigh it. Called by the detector `drift`.
use serde::{Deserialize, Serialize};

/// Two slopes with their prior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slopes {
    squares: [f64; 3],
    products: [f64; 2],
    prior: [f64; 2],
    weight: [f64; 2],
}

impl Slopes {
    /// Slopes that stand at `prior`, worth `weight` of summed squares of each covariate (count × variance).
    pub fn new(prior: [f64; 2], weight: [f64; 2]) -> Self {
        Self { squares: [0.0; 3], products: [0.0; 2], prior, weight }
    }

    /// Adds one deviation `dy` at covariate deviations `dx`, all from the lock's own means; `share` = n/(n+1) of the n
    /// that made the means (Welford).
    pub fn add(&mut self, dx: [f64; 2], dy: f64, share: f64) {
        self.squares[0] += share * dx[0] * dx[0];
        self.squares[1] += share * dx[0] * dx[1];
        self.squares[2] += share * dx[1] * dx[1];
        self.products[0] += share * dx[0] * dy;
        self.products[1] += share * dx[1] * dy;
    }

    /// The slopes by now (ridge regression towards the prior).
    pub fn get(&self) -> [f64; 2] {
        let [a, b, d] = [self.squares[0] + self.weight[0], self.squares[1], self.squares[2] + self.weight[1]];
        let [p, q] =
            [self.products[0] + self.weight[0] * self.prior[0], self.products[1] + self.weight[1] * self.prior[1]];
        let determinant = a * d - b * b;
        if determinant.abs() < 1e-12 {
            return self.prior;
        }
        [(p * d - q * b) / determinant, (q * a - p * b) / determinant]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prior_stands_until_there_are_data() {
        assert_eq!(Slopes::new([-0.02, 0.5], [10.0, 1.0]).get(), [-0.02, 0.5]);
    }

    #[test]
    fn data_outweigh_the_prior() {
        let mut slopes = Slopes::new([0.0, 0.0], [10.0, 1.0]);
        for step in 0..5_000 {
            let (t, v) = (f64::from(step % 21 - 10), f64::from(step % 7 - 3) / 10.0);
            slopes.add([t, v], -0.02 * t + 0.4 * v, 1.0);
        }
        let [t, v] = slopes.get();
        assert!((t + 0.02).abs() < 1e-3 && (v - 0.4).abs() < 0.01, "{t} {v}");
    }
}
