"""The commands of facefarm, as a table.

Nothing is imported before a command is called, so that `facefarm --help` is quick. Not for: what a
command does (the `commands` modules) or how its options are read (`cli`).
"""

from __future__ import annotations

GROUPS = {
    "schedule": "Add renders to the queue at given times.",
    "queue": "Add renders to the queue, look at them, and change their turn.",
    "models": "List, fetch, check and optimise model files.",
    "jobs": "List, show, go on with, mend and clean up what is kept of jobs.",
    "bench": "Measure how fast this machine is, and against what.",
}
"""By their names: what their commands are for."""

COMMANDS = {
    "tune": (
        "cluster.tune_commands:tune",
        "Find the fastest way to render on this machine, and keep it.",
    ),
    "report": ("farm.page.commands:report", "Write the report of a render as an HTML page."),
    "serve": ("cluster.service.commands:serve", "Work through the queue."),
    "watch": ("scheduler.queue.watch:watch", "Add files that appear in a folder to the queue."),
    "schedule add": ("scheduler.schedules.commands:add", "Keep a schedule."),
    "schedule list": ("scheduler.schedules.commands:list_schedules", "Show all schedules."),
    "schedule next": ("scheduler.schedules.commands:next_fires", "Show when one fires next."),
    "schedule run-now": ("scheduler.schedules.commands:run_now", "Add the jobs of one now."),
    "schedule disable": ("scheduler.schedules.commands:disable", "Keep one from firing."),
    "schedule enable": ("scheduler.schedules.commands:enable_again", "Let one fire again."),
    "schedule remove": ("scheduler.schedules.commands:remove", "Forget one."),
    "queue add": ("scheduler.queue.commands:add", "Add renders: targets, or a manifest of jobs."),
    "queue list": ("scheduler.queue.commands:list_jobs", "Show jobs in the order of their turn."),
    "queue show": ("scheduler.queue.commands:show", "Show a job and its history."),
    "queue pause": ("scheduler.queue.commands:pause", "Keep jobs from running."),
    "queue resume": ("scheduler.queue.commands:resume", "Let paused jobs run again."),
    "queue cancel": ("scheduler.queue.commands:cancel", "End jobs without an output."),
    "queue retry": ("scheduler.queue.commands:retry", "Let jobs that failed run again."),
    "queue move": ("scheduler.queue.commands:move", "Change priority or turn of jobs."),
    "queue remove": ("scheduler.queue.commands:remove", "Forget jobs that ended."),
    "queue export": ("scheduler.queue.commands:export", "All jobs with their history."),
    "render": ("cluster.commands:render", "Render the faces of a video or image."),
    "preview": ("cluster.commands:preview", "Render a few frames to look at, before the whole."),
    "analyze": (
        "cluster.face_commands:analyze",
        "Look at the faces of a video and write them to a table that can be edited.",
    ),
    "faces": (
        "cluster.face_commands:faces",
        "Find the people of a video: a contact sheet, and a map to put sources onto them.",
    ),
    "demo": ("cluster.commands:demo", "Render a built-in clip and check the result."),
    "doctor": ("farm.commands:doctor", "Say what this machine has and what is missing."),
    "nodes": ("cluster.node_commands:nodes", "Say what each node of a cluster really has."),
    "submit": ("cluster.server_commands:submit", "Send a render to a cluster's job server."),
    "status": ("cluster.server_commands:status", "Say how a job that was submitted stands."),
    "logs": ("cluster.server_commands:logs", "Show what a job that was submitted has written."),
    "stop": ("cluster.server_commands:stop", "End a job that was submitted."),
    "probe": ("scheduler.commands:probe", "Say what the farm sees in a file."),
    "verify": (
        "farm.commands:verify",
        "Show and check the marks of an output: what altered it, and whether it is unchanged"
        " since.",
    ),
    "jobs list": ("cluster.job_commands:list_jobs", "Show the jobs that are kept."),
    "jobs show": ("cluster.job_commands:show_job", "Show what a job's ledger says."),
    "jobs resume": ("cluster.job_commands:resume_job", "Go on with a job where it stopped."),
    "jobs rerender": (
        "cluster.job_commands:rerender_job",
        "Render a stretch of a kept job again with other settings, and join it anew.",
    ),
    "jobs clean": (
        "cluster.job_commands:clean_job",
        "Delete finished chunks and ledger of a job; outputs stay.",
    ),
    "bench pipeline": (
        "cluster.bench:pipeline",
        "Measure the pipeline against decoding, encoding and the networks alone.",
    ),
    "bench gpu": (
        "cluster.bench:gpu",
        "Measure what the networks and the pipeline do on a GPU, in every precision and batch.",
    ),
    "bench scale": (
        "cluster.bench:scale",
        "Measure how well many workers share work that is all waiting, as for a GPU.",
    ),
    "bench memory": (
        "cluster.bench:memory",
        "Measure the memory of all processes over the length of a video.",
    ),
    "bench compare": (
        "cluster.bench:compare",
        "Compare two results of the same measurement (`--json`).",
    ),
    "models list": (
        "farm.models.commands:list_models",
        "Show the known models: licence, source, size, hash, and which are here.",
    ),
    "models pull": (
        "farm.models.commands:pull_models",
        "Fetch models by name, kind (swapper) or pack (buffalo_l).",
    ),
    "models path": (
        "farm.models.commands:path_of_model",
        "Print where a model lies, or the folder of all.",
    ),
    "models verify": (
        "farm.models.commands:verify_models",
        "Hash models anew: the named, or all that are here.",
    ),
    "models optimize": (
        "farm.models.commands:optimize_model",
        "Write a faster copy of a model; kept only if it comes near enough to its source.",
    ),
}
"""By the words that call them: the function (`package.module:function`), and what it is for."""
