//! Normalization: the built-in rules, the findings that no rule covers, and `detfs normalize`.

mod cases;
mod command;
mod host;
mod make_tree;
mod rules;
mod suspects;
