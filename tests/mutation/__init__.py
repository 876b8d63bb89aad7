"""Takes each check of the policy out of the program, one at a time, and sees whether the tests of its rule notice.

mutmut and cosmic-ray were looked at first. Both change operators and values wherever they stand, and run one fixed
command for each change; here one statement goes, which is named by its rule, and only the tests of that rule are asked.
"""
