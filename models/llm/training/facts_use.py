"""Facts about what Tandem and its embedded model are, and how Tandem is set up and run."""

from __future__ import annotations

from models.llm.training.fact import Fact

# fmt: off
USE: tuple[Fact, ...] = (
    Fact(
        "tandem",
        "Tandem serves classical machine-learning models and a large language model side by side, as one BentoML bundle of three services.",
        "side by side",
        things=(
            "Tandem", "this project", "the purpose of Tandem", "the Tandem bundle", "this software",
            "the idea of Tandem", "the Tandem project", "the point of this project", "this repository",
        ),
        questions=(
            "What does Tandem do?", "What is Tandem for?", "Describe Tandem in a sentence.",
            "Why would I use Tandem?", "Who is Tandem for?", "tandem?", "What kind of software is Tandem?",
            "What is it that Tandem does?", "Summarise Tandem.", "What problem does Tandem solve?",
            "Explain Tandem to me.", "What have I installed here?", "Tandem, what is it?",
            "What is this repository about?", "Give me an overview of Tandem.",
            "What is Tandem?", "what is it", "Tandem?", "Define Tandem.", "Tell me what Tandem is.", "What is this thing?",
            "Say what Tandem does.", "What is this software for?", "Introduce Tandem.", "So what is Tandem, in brief?",
            "Tandem in a few words?", "Explain in one sentence what Tandem is.", "What does this project do?", "Pitch Tandem to me.",
            "What does this server do?", "A summary of Tandem.", "What is the main idea behind Tandem?", "I never heard of Tandem.",
            "What is Tandem good for?", "Is Tandem a model server?", "What would I do with Tandem?", "Which purpose does Tandem have?",
            "How would you sum Tandem up?", "What was Tandem made for?", "What exactly is Tandem?", "What am I looking at here?",
            "What do you call Tandem?", "Does Tandem serve classical models and language models?",
        ),
    ),
    Fact(
        "self",
        "I am tandem-mini, the small language model that ships with Tandem. I explain predictions, extract features from text and answer questions about Tandem.",
        "tandem-mini",
        things=(
            "your name", "tandem-mini", "your job", "the embedded model", "the default language model", "your task",
            "your role",
        ),
        questions=(
            "Who are you?", "What are you?", "What can you do?", "Which model are you?", "Are you ChatGPT?", "Hello",
            "Hi there", "Good morning", "Help", "What can I ask you?", "How can you help me?", "Introduce yourself.",
            "Which language model am I talking to?", "What are you able to do?",
            "Tell me about yourself.", "With whom am I talking?", "Hey", "Hi, who is there?", "Is this a human?",
            "Which tasks can you do?", "What are your abilities?", "What do you do?", "What are you good at?",
            "Hello, who are you and what can you do?", "Are you a large model?", "are you an AI",
            "Which jobs can you do for me?",
            "What is your name?", "Are you a language model?", "What sort of LLM is this?", "What LLM is running?",
            "Which LLM answers here?", "Who am I speaking to?", "Who is answering?", "What should I call you?", "Are you a bot?",
            "Are you GPT?", "Are you Llama?", "Which model is behind this chat?", "What model is this?", "Tell me who you are.",
            "Say who you are.", "What can you be used for?", "Describe yourself.", "your name?", "who r u", "Which model is embedded?",
            "What is the embedded LLM called?", "Which language model ships with Tandem?", "What is the default LLM?",
        ),
    ),
    Fact(
        "own limits",
        "I am small and made for Tandem's own jobs. I know nothing beyond Tandem, may get a number wrong, and am no substitute for a general model.",
        "nothing beyond Tandem",
        things=(
            "your limits", "your weaknesses", "the weakness of tandem-mini", "your quality", "your accuracy",
            "your limitations",
        ),
        questions=(
            "How good are you?", "Can I trust you?", "Can I trust your answers?", "Do you make mistakes?",
            "What can you not do?", "How large are you?", "How many parameters do you have?",
            "How reliable is the embedded model?", "Are you as good as a large model?",
            "Can the embedded model be wrong?", "Are you reliable?", "Are you accurate?", "Can I rely on you?",
            "Should I check your answers?", "Do you know everything?", "Where do you fail?",
            "How often are you wrong?", "Are your explanations always right?", "Is the embedded model any good?",
            "How big are you?", "Are you smart?", "What are you bad at?", "Do you know anything beyond Tandem?",
        ),
    ),
    Fact(
        "start",
        "Run `make serve`. It sets up everything it needs and serves HTTP on port 3000 and gRPC on port 3001.",
        "make serve",
        tasks=(
            "start Tandem", "run Tandem", "start the server", "launch the bundle", "serve the models", "get started",
            "bring the server up", "install Tandem", "set Tandem up",
        ),
        things=(
            "the command to start the server", "the quickest way to start", "the start command",
            "the make target for serving",
        ),
        questions=(
            "Which command starts Tandem?", "What do I type to start the server?", "How do I get it running?",
            "How is the server started?", "How do I get Tandem up and running?", "What comes after cloning?",
            "How is Tandem installed?", "What is the first command?", "I want to try Tandem, how?",
            "How do I run this on my computer?", "How do I begin?",
            "What do I run first?", "I cloned it, what next?", "How do I launch it?", "How do I serve it locally?",
            "What starts everything?", "What is the quickest way to try it?", "How do I boot the server?", "Getting started?",
            "How do I make it serve?", "How can I start using Tandem?", "Which make target starts it?",
        ),
    ),
    Fact(
        "ports",
        "HTTP listens on port 3000 and gRPC on port 3001. Set PORT and GRPC_PORT for `make serve` to change them.",
        "3000",
        tasks=(
            "change the port", "use another port", "set the gRPC port", "serve on port 8080", "choose the port",
        ),
        things=(
            "the port", "the default port", "the gRPC port", "the HTTP port", "the port number",
            "the port of the gRPC server", "the port of the HTTP server", "the address of the server",
        ),
        questions=(
            "Which ports does Tandem use?", "On which port does it listen?", "Where does the server listen?",
            "Port 3000 is taken, what now?", "What port is used for gRPC?", "What port does HTTP use?",
            "The port is in use, how do I pick another?", "Can the port be changed?", "How is the port changed?",
            "Which address do I open?", "Something else is on port 3000.", "Which port is which?",
        ),
    ),
    Fact(
        "settings",
        "Settings come from the environment, with the prefix TANDEM_ and two underscores between levels, then from tandem.yaml.",
        "TANDEM_",
        tasks=(
            "configure Tandem", "change a setting", "set an option", "use a config file", "set environment variables",
        ),
        things=(
            "tandem.yaml", "the config file", "the prefix of the environment variables", "the configuration",
            "the settings", "the environment variables", "the settings file",
        ),
        questions=(
            "Where do the settings come from?", "Which environment variables are there?", "Where are the settings?",
            "Is there a YAML file?", "How is Tandem configured?", "What is the prefix of settings?",
            "How do I change settings?", "Are settings read from the environment?", "Can I put settings in a file?",
            "Where does the configuration live?", "Which file holds the settings?", "What is tandem.yaml for?",
        ),
    ),
    Fact(
        "python",
        "Tandem runs on Python 3.11 to 3.13.",
        "3.11",
        things=(
            "the Python version", "the supported Python versions", "the Python requirement", "the Python that I need",
            "the oldest Python",
        ),
        questions=(
            "Which Python does Tandem need?", "Which Python versions are supported?", "Does it run on Python 3.12?",
            "Does Tandem work with Python 3.10?", "What Python version is needed?", "Can I use Python 3.11?",
            "Is Python 3.13 fine?", "Will it run on Python 3.14?", "Which version of Python do you want?",
            "Do you support Python 3.12?",
        ),
    ),
    Fact(
        "licence",
        "Tandem is free software under the Apache-2.0 licence.",
        "Apache-2.0",
        things=(
            "the licence", "the license", "the licence of Tandem", "the terms of use", "the open source licence",
        ),
        questions=(
            "Is Tandem open source?", "May I use Tandem commercially?", "Under which license is it?",
            "Is Tandem free?", "What does Tandem cost?", "What licence does Tandem have?",
            "Can my company use Tandem?", "Is it open source?", "Is Apache the licence?",
            "Do I have to pay for Tandem?", "May I change the code?", "Is commercial use allowed?",
        ),
    ),
    Fact(
        "offline",
        "After set-up Tandem needs no network: its models and the embedded LLM are on the disk.",
        "no network",
        tasks=(
            "run Tandem offline", "run it without internet", "use it in an air-gapped network",
        ),
        things=(
            "offline use", "the need for a network",
        ),
        questions=(
            "Does Tandem need the internet?", "Does it work offline?", "Does Tandem send data anywhere?",
            "Is a network connection needed?", "Can it run without a connection?", "Does it need the network?",
            "Is internet access required?", "Does it phone home?", "Can I use it with no internet connection?",
            "Does it work on an isolated machine?", "Must the machine be online?",
        ),
    ),
    Fact(
        "gpu",
        "Run `make serve DEVICE=gpu`. It installs the GPU requirements, and the LLM service then asks BentoML for GPUs.",
        "DEVICE=gpu",
        tasks=(
            "use a GPU", "run on a GPU", "serve with CUDA", "make use of my graphics card", "run the LLM on the GPU",
        ),
        things=(
            "GPU support", "the GPU setting", "the GPU mode", "CUDA support",
        ),
        questions=(
            "Does Tandem support GPUs?", "Can it use my NVIDIA card?", "Do I need a GPU?",
            "Does it run without a GPU?", "How do I switch to the GPU?", "I have a GPU, what do I do?",
            "How is Tandem started on a GPU machine?", "Will it use my GPU?", "Which option turns on the GPU?",
            "Is CUDA supported?", "Where do I say that there is a GPU?",
        ),
    ),
)
# fmt: on
