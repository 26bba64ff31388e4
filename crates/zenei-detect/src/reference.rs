//! Slow and plain: each estimator and detector a second time, by its definition, over all that it ever saw, in lists
//! and in double precision; and random streams on which the fast one must say the same. For tests alone. Where both are
//! wrong alike, a rule's cases and the fleet benchmark must tell.
#[cfg(test)]
mod clock;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod estimators;
#[cfg(test)]
mod firmware;
#[cfg(test)]
mod leak;
#[cfg(test)]
mod lock_errors;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod loss;
#[cfg(test)]
mod presence;
#[cfg(test)]
mod profile;
#[cfg(test)]
mod reboots;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod trouble;
