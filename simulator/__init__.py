"""A stand-in for the IoT platform: the documented API, served from a seeded fleet, with a dial for every fault.

In data-flow order, from a number to bytes on the wire:

    draws        uniform numbers that depend on seed, task and purpose only; opaque ids and the way back
    rhythm       when tasks are created: quiet nights, quiet weekends
    catalogue    vendors, models, versions and their true success rates
    timeline     the life of a task: created, started, ended, retried, removed
    fleet        the tasks that exist now; settles as simulated time goes on
    search       the list's filters and orders
    records      a task as the documented OperationInfo
    oddities     what real records have beyond the documents, and records that are broken
    listing      one page and its envelope
    accounts     log in, refresh, the newest token
    traffic      the throttle and the statistics
    faults       the fault plan
    platform     one request in, one response out; no web framework, no socket, no thread
    control      the /simulator/ calls for tests and demos
    adapter      puts a Platform behind `requests`, in process
    app, server  puts a Platform behind http or https
    process      starts all that as a child process

`dials` declares every setting once; the command line and `SimulatorProcess` derive from it.
Nothing here is imported by the data path.
"""
