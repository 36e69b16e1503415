//! Pages and plots of runs that are made here: what is in them, that they are well formed, that nothing read is interpreted.

mod drawn;
mod pages;
mod run;
