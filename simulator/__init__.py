"""A stand-in for the IoT platform: the documented API, served from a seeded fleet, with a dial for every fault.

In data-flow order, from a number to bytes on the wire:

    dials        every setting, declared once; the command line and `SimulatorProcess` derive their options
    draws        uniform numbers that depend on seed, task and purpose only; opaque ids and the way back
    rhythm       when tasks are created: quiet nights, quiet weekends
    catalogue    vendors, models, versions and their true success rates
    timeline     the life of a task: created, started, ended, retried, removed
    clock        simulated time
    fleet        the tasks that exist now; settles as simulated time goes on
    devices      which devices a task names, both ways
    search       the list's filters and orders
    records      a task as the documented OperationInfo
    oddities     what real records have beyond the documents, and records that are broken
    world        fleet, records and search at one simulated time; drift and interventions
    state        where all that stood, in a file
    messages     one request, one response, the documented errors
    listing      one page and its envelope
    accounts     log in, refresh, the newest token
    traffic      the throttle and the statistics
    faults       the fault plan; `misconduct` is what each action does
    platform     one request in, one response out; no web framework, no socket, no thread
    control      the calls under /simulator/ for tests and demos
    adapter      puts a Platform behind `requests`, in process
    app          puts a Platform behind ASGI; `server` on http or https, with `certificates`
    cli          the command `simulate`
    process      starts it as a child process; `remote` has a method for each control call

Nothing here is imported by the data path.
"""
