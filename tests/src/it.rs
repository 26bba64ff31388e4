//! Tests of the whole: one binary, so that they link once. Each question is a module of its own.
mod layering;
mod repository;
mod tidy;
