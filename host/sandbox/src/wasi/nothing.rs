//! What a guest finds of a process around it: nothing.

use wasmtime::{Result, component::Resource};
use wasmtime_wasi::p2::bindings::cli::{
    environment, exit, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
    terminal_stdout,
};

use crate::{fault::Refusal, state::GuestState};

impl environment::Host for GuestState {
    fn get_environment(&mut self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}

impl GuestState {
    fn refuse_exit(&self) -> wasmtime::Error {
        let phase = self.phase();
        Refusal::trap(format!(
            "it called exit while {phase}; an entity is no process: end its life by the outcome's \
             lifecycle, and say no by a rejection"
        ))
    }
}

impl exit::Host for GuestState {
    fn exit(&mut self, _: std::result::Result<(), ()>) -> Result<()> {
        Err(self.refuse_exit())
    }

    fn exit_with_code(&mut self, _: u8) -> Result<()> {
        Err(self.refuse_exit())
    }
}

impl terminal_input::Host for GuestState {}

impl terminal_input::HostTerminalInput for GuestState {
    fn drop(&mut self, _: Resource<terminal_input::TerminalInput>) -> Result<()> {
        Ok(())
    }
}

impl terminal_output::Host for GuestState {}

impl terminal_output::HostTerminalOutput for GuestState {
    fn drop(&mut self, _: Resource<terminal_output::TerminalOutput>) -> Result<()> {
        Ok(())
    }
}

impl terminal_stdin::Host for GuestState {
    fn get_terminal_stdin(&mut self) -> Result<Option<Resource<terminal_input::TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for GuestState {
    fn get_terminal_stdout(&mut self) -> Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for GuestState {
    fn get_terminal_stderr(&mut self) -> Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}
