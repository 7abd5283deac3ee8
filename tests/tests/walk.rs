//! Random walks: whatever happens to the members of a cluster, writes continue, and in the end every
//! member has every acknowledged packet.

// Prints the steps of a failed walk, and the seeds of a long run.
#![allow(clippy::print_stderr)]

use std::{
    collections::BTreeMap,
    env, mem,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quorate_tests::{
    Cluster, Load, Member, Node, Nodes, Oracle, Plan, voters,
    wait::{CONVERGE_WITHIN, until},
};
use tokio::time::Instant;

use crate::walk_plan::{Chance, Members, Number, Step};

/// The variable with the number of minutes to walk, one seed after the other.
const MINUTES_VARIABLE: &str = "QUORATE_WALK_MINUTES";

/// The variable with the first seed.
const SEED_VARIABLE: &str = "QUORATE_WALK_SEED";

/// The seeds of every test run.
const SEEDS: [u64; 6] = [2, 4, 7, 8, 9, 10];

/// How often a cluster is healed in one walk. Walks are short, so that a failed one is quickly repeated.
const ROUND_COUNT: usize = 3;

/// The most steps between two healings; the fewest are two less.
const STEP_COUNT_MAX: usize = 5;

/// Enough writers to form batches, few enough to read all their keys at every node quickly.
const WRITER_COUNT: usize = 3;

/// Acknowledgements that show that writes continue.
const ACKS: u64 = 30;

/// The deadline of a PUT: short, so that writers at an isolated node try another one.
const PUT_DEADLINE: Duration = Duration::from_secs(2);

/// A few walks in `make test`, and as many as there is time for in `make walk`.
#[tokio::test(flavor = "multi_thread")]
async fn every_acked_packet_is_at_every_member_after_a_random_walk() {
    let seed = number_in(SEED_VARIABLE);
    let Some(minutes) = number_in(MINUTES_VARIABLE) else {
        for seed in SEEDS {
            walk(seed).await;
        }
        return;
    };
    let started = Instant::now();
    let first = seed.unwrap_or_else(seed_of_today);
    for seed in first.. {
        eprintln!("walk: seed {seed}");
        walk(seed).await;
        if started.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
}

fn number_in(variable: &str) -> Option<u64> {
    let number = env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(number.parse().expect("it is a number"))
}

/// A new seed each second.
fn seed_of_today() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("the clock is past 1970").as_secs()
}

/// The cluster of a seed: every other one catches up with snapshots, the others with the log.
fn plan(seed: u64) -> Plan {
    let plan = voters(3).put_deadline(PUT_DEADLINE);
    match seed % 2 {
        0 => plan
            .checkpoint_interval(Duration::from_secs(1))
            .log_kept_count(100),
        _ => plan,
    }
}

async fn walk(seed: u64) {
    let mut chance = Chance::new(seed);
    let mut walk = Walk {
        cluster: Cluster::start(plan(seed)).await,
        members: Members::new(3),
        oracle: Oracle::default(),
        trail: Trail {
            seed,
            rounds: Vec::new(),
        },
    };
    for _ in 0..ROUND_COUNT {
        walk.round(&mut chance).await;
    }
}

/// A cluster, what it must hold, and the steps so far.
struct Walk {
    cluster: Cluster,
    members: Members,
    oracle: Oracle,
    /// Dropped last, so that it is printed below the logs.
    trail: Trail,
}

impl Walk {
    /// Makes a few steps under load, usually with a voter away, and heals the cluster.
    async fn round(&mut self, chance: &mut Chance) {
        let load = Load::start(&self.nodes_of(self.members.live()), WRITER_COUNT);
        load.wait_for_acks(ACKS).await;
        self.trail.rounds.push(Vec::new());
        if chance.below(4) > 0 {
            let step = self.members.draw_absence(chance);
            self.step(step, &load).await;
        }
        for _ in 0..STEP_COUNT_MAX - chance.below(3) {
            let step = self.members.draw(chance);
            self.step(step, &load).await;
        }
        self.heal().await;
        self.oracle.merge(load.stop().await);
        let all = self.nodes_of(self.members.voters.union(&self.members.learners).copied());
        all.expect_converged().await;
        self.oracle.expect_held_by(&all).await;
    }

    async fn step(&mut self, step: Step, load: &Load) {
        let rounds = &mut self.trail.rounds;
        rounds
            .last_mut()
            .expect("one was started")
            .push(step.clone());
        self.take(&step, load).await;
        self.members.apply(&step);
        load.turn_to(self.nodes_of(self.members.live()));
        load.wait_for_acks(ACKS).await;
    }

    async fn take(&self, step: &Step, load: &Load) {
        let node = |number: &Number| self.cluster.node(*number);
        match step {
            Step::Kill(number) => node(number).kill(),
            Step::Stop(number) => node(number).terminate().await,
            Step::Start(number) => node(number).start(),
            Step::Restart(number) => restart(&node(number)),
            Step::Swap { away, back } => {
                node(away).kill();
                node(back).start();
            }
            Step::PowerFailure => {
                let live = self.cluster.live();
                live.kill();
                live.restart();
            }
            Step::Join(new) => drop(self.join(*new, &[]).await),
            Step::JoinAsLearner(new) => drop(self.join(*new, &["--learner"]).await),
            Step::Replace {
                old,
                new,
                restarted,
            } => {
                let new = self.join(*new, &["--learner"]).await;
                let more = [new.id()];
                let replacing = self.run_command(&["member", "replace"], *old, &more);
                tokio::join!(replacing, async {
                    if let Some(restarted) = restarted {
                        // At any step.
                        load.wait_for_acks(1).await;
                        restart(&node(restarted));
                    }
                });
            }
            Step::Remove(number) => self.run_command(&["member", "remove"], *number, &[]).await,
            Step::Promote(number) => self.run_command(&["member", "promote"], *number, &[]).await,
            Step::Demote(number) => self.run_command(&["member", "demote"], *number, &[]).await,
            Step::Transfer(number) => {
                self.run_command(&["leader", "transfer"], *number, &[])
                    .await
            }
        }
    }

    /// Lets a new node join, and returns when it is a member.
    async fn join(&self, number: Number, args: &[&str]) -> Arc<Node> {
        let operator = self.operator(number);
        let token = run_until_done(&operator, &[&["member", "add"], args].concat()).await;
        let new = self.cluster.machine();
        assert!(Arc::ptr_eq(&new, &self.cluster.node(number)));
        new.join(token.trim_end());
        let role = match args {
            [] => "voter",
            _ => "learner",
        };
        operator.wait_for_role(&new, role).await;
        new
    }

    /// The node that receives commands about another one: not that one, which may be removed before it can
    /// answer.
    fn operator(&self, concerned: Number) -> Arc<Node> {
        let mut live = self.members.live_voters();
        let other = live.find(|number| *number != concerned);
        self.cluster.node(other.expect("two voters are live"))
    }

    /// Runs a command about a node.
    async fn run_command(&self, command: &[&str], concerned: Number, more: &[&str]) {
        let node = self.cluster.node(concerned);
        let args = [command, &[node.id()], more].concat();
        run_until_done(&self.operator(concerned), &args).await;
    }

    /// Starts all nodes: the members become ready and agree on the membership, and removed nodes report
    /// their removal.
    async fn heal(&mut self) {
        let members = self.members.clone();
        self.nodes_of(members.away.keys().copied()).start();
        let (voters, learners) = (
            self.nodes_of(members.voters.iter().copied()),
            self.nodes_of(members.learners.iter().copied()),
        );
        voters.wait_ready().await;
        learners.wait_ready().await;
        voters.wait_for_leader().await;
        voters.expect_to_be_the_voters().await;
        let roles: BTreeMap<_, _> = voters
            .iter()
            .map(|node| (node.id(), "voter"))
            .chain(learners.iter().map(|node| (node.id(), "learner")))
            .collect();
        let are_so = |members: &[Member]| {
            let members: BTreeMap<_, _> = members
                .iter()
                .map(|member| (&*member.node, &*member.role))
                .collect();
            members == roles
        };
        for node in voters.iter().chain(learners.iter()) {
            node.wait_for_members("all members and nobody else", are_so)
                .await;
        }
        for (number, is_told) in members.removed() {
            let node = self.cluster.node(number);
            if !node.is_up() {
                node.start();
            }
            if is_told {
                wait_until_removed(&node).await;
            }
            node.kill();
        }
        self.members.heal();
    }

    fn nodes_of(&self, numbers: impl Iterator<Item = Number>) -> Nodes {
        numbers.map(|number| self.cluster.node(number)).collect()
    }
}

/// Runs a command until it succeeds, because the leader may be away, and returns its output.
async fn run_until_done(node: &Node, args: &[&str]) -> String {
    until(&args.join(" "), CONVERGE_WITHIN, async || {
        let ran = node.run(args).await;
        match ran.code {
            0 => Ok(ran.stdout),
            _ => Err(ran.stderr),
        }
    })
    .await
}

fn restart(node: &Node) {
    node.kill();
    node.restart();
}

async fn wait_until_removed(node: &Node) {
    let what = format!("{} to know that it was removed", node.name());
    until(&what, CONVERGE_WITHIN, async || match node.ready().await {
        Err(reason) if reason.contains("removed from the cluster") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// The steps of a walk, printed if it fails.
struct Trail {
    seed: u64,
    rounds: Vec<Vec<Step>>,
}

impl Drop for Trail {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let Self { seed, rounds } = self;
        eprintln!("\n--- the walk of seed {seed}: `make walk MINUTES=0 SEED={seed}` ---");
        for (number, steps) in (1..).zip(mem::take(rounds)) {
            eprintln!("round {number}: {steps:?}");
        }
    }
}

/// The same seed gives the same steps, and every state allows commits.
#[test]
fn a_seed_gives_the_same_steps_each_time() {
    let draw = |seed| {
        let (mut members, mut chance) = (Members::new(3), Chance::new(seed));
        let mut steps = vec![members.draw_absence(&mut chance)];
        for _ in 0..20 {
            members.apply(steps.last().expect("there is one"));
            let (live, all) = (members.live_voters().count(), members.voters.len());
            assert!((3..=5).contains(&all) && 2 * live > all, "{steps:?}");
            steps.push(members.draw(&mut chance));
        }
        steps
    };
    for seed in 0..1000 {
        assert_eq!(draw(seed), draw(seed));
    }
    assert_ne!(draw(1), draw(2));
}
