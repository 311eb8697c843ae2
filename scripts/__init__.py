from skipln.system.beginning import begins_a_command, stop_quietly

if begins_a_command("scripts"):
    stop_quietly()
