//! What the child needs beside the plan.

use std::cell::RefCell;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

use libcontainer::notify_socket::NotifyListener;
use libcontainer::process::channel::{InitReceiver, InitSender, MainReceiver, MainSender};

use crate::error::Result;
use crate::plan::Plan;
use crate::report::{Channel, FromChild, ToChild};

/// Made by the runtime before the clone; each side then closes what is the other's.
pub(crate) struct ChildContext {
    pub(crate) plan: Rc<Plan>,
    /// The child's end.
    pub(crate) channel: RefCell<Option<Channel>>,
    /// libcontainer's channel around hooks.
    pub(crate) main_sender: RefCell<MainSender>,
    pub(crate) init_receiver: RefCell<InitReceiver>,
    /// Where a created container waits; libcontainer wants to own it, and we wait on `accept`.
    pub(crate) listener: RefCell<Option<NotifyListener>>,
    pub(crate) accept: OwnedFd,
    /// Whether it waits for a start.
    pub(crate) waits: bool,
    /// Where the terminal goes.
    pub(crate) console: RefCell<Option<OwnedFd>>,
    /// The runtime's: its lock on the state directory and its ends of the channels. Held by the child
    /// as well, the lock would outlive the runtime, and the end of a channel would never be seen.
    pub(crate) runtimes: RefCell<Vec<RawFd>>,
    /// The runtime's ends of libcontainer's channel.
    pub(crate) hook_runtime: RefCell<Option<(MainReceiver, InitSender)>>,
}

impl ChildContext {
    /// Tells the runtime, if it is still there.
    pub(crate) fn tell(&self, message: &FromChild) {
        if let Some(channel) = &*self.channel.borrow() {
            let _ = channel.send(message);
        }
    }

    /// Has the runtime write the maps of this process's new user namespace; false when it has ended.
    pub(crate) fn ask_for_maps(&self) -> Result<bool> {
        self.tell(&FromChild::NeedsMaps);
        match &*self.channel.borrow() {
            Some(channel) => Ok(matches!(channel.receive()?, Some(ToChild::Begin(_)))),
            None => Ok(false),
        }
    }

    /// In the child: closes what is the runtime's.
    pub(crate) fn close_in_child(&self) {
        for fd in self.runtimes.take() {
            let _ = nix::unistd::close(fd);
        }
        if let Some((receiver, sender)) = self.hook_runtime.borrow_mut().take() {
            let _ = (receiver.close(), sender.close());
        }
    }

    /// In the runtime: closes what only the child uses, so that the child's end closes the channels.
    pub(crate) fn close_in_parent(&self) -> Option<(MainReceiver, InitSender)> {
        self.channel.borrow_mut().take();
        self.console.borrow_mut().take();
        // These two close nothing when they are dropped.
        let _ = self.main_sender.borrow().close();
        let _ = self.init_receiver.borrow().close();
        self.hook_runtime.borrow_mut().take()
    }
}
